"""Completions of a command line, from package metadata, signatures and YAML files only."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from kexp import registry
from kexp.commands import COMMANDS
from kexp.errors import KexpError
from kexp.registry.groups import GROUPS
from kexp.schema import AUTO, DEFAULT_OPTIMIZER, SETTINGS
from kexp.signatures import Parameter
from kexp.system.folders import conf_folder

__all__ = ["candidates"]

_SCALARS = {"name": None, "seed": None, "backend": Literal["tensorflow", "jax", "torch"]}
_HYDRA_FLAGS = "--help --multirun -m --cfg --config-dir --config-name --info --debug --version".split()
_VALUED_FLAGS = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn")
# Groups whose options have no node of the group's name.
_NO_NODES = ("schedule", "experiment")
# The kinds of each command's positional arguments; the last one repeats.
_POSITIONS: dict[str, tuple[str, ...]] = {
    "components": ("group", ""),
    "show": ("shown", "component", ""),
    "evaluate": ("run", "override"),
    "predict": ("run", "file", "file", ""),
    "export": ("run", "file", ""),
    "promote": ("run", "model", ""),
    "reproduce": ("run", ""),
    "sync": ("file",),
    "completion": ("shell", ""),
}
# The kinds of values of options whose choices the command's help does not list.
_OPTION_VALUES = {"--format": "format", "--from": "format", "--config-dir": "file", "--directory": "file"}
_MOST_NAMES = 30  # runs, sweeps or models
_RUNS = f"SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' ORDER BY start_time DESC LIMIT {_MOST_NAMES}"
_SWEEPS = (
    "SELECT DISTINCT tags.value FROM tags JOIN runs USING (run_uuid) WHERE tags.key = 'kexp.sweep.name' "
    f"AND runs.lifecycle_stage = 'active' ORDER BY runs.start_time DESC LIMIT {_MOST_NAMES}"
)
_MODELS = f"SELECT name FROM registered_models ORDER BY name LIMIT {_MOST_NAMES}"
_ALIASES = f"SELECT name, alias FROM registered_model_aliases ORDER BY name, alias LIMIT {_MOST_NAMES}"


def candidates(line: str) -> list[str]:
    """Completes the last word of a command line.

    Args:
        line: the command line up to the cursor, including the program's name.

    Returns:
        The possible words; empty if the line or the store cannot be read.
    """
    words = line.split()
    if not words or line[-1:].isspace():
        words.append("")
    words = words[3:] if words[1:3] == ["-m", "kexp"] else words[1:]
    before, current = words[:-1], words[-1] if words else ""
    quote = current[:1] if current[:1] in ("'", '"') else ""
    try:
        found = _complete(before, current[len(quote) :])
    except (KexpError, OSError, sqlite3.Error):  # completion must not print errors
        return []
    return [quote + each for each in dict.fromkeys(found) if each.startswith(current[len(quote) :])]


def _complete(before: Sequence[str], current: str) -> list[str]:
    command = before[0] if before else ""
    if command in COMMANDS:
        return _complete_command(command, before[1:], current)
    if before and before[-1] in ("--config-dir", "-cd"):
        return _files(current)
    if before and before[-1] in _VALUED_FLAGS:
        return ["job", "hydra", "all"] if before[-1] in ("--cfg", "-c") else []
    if current.startswith("-"):
        return list(_HYDRA_FLAGS)
    return [*([] if before else COMMANDS), *_complete_override(before, current)]


def _complete_command(command: str, before: Sequence[str], current: str) -> list[str]:
    """Returns the completions of a command's options, of their values, or of its positional arguments."""
    if current.startswith("-"):
        return re.findall(r"(?<![\w-])--[a-z][a-z-]*", _help(command))
    # In the help, an option with a value is followed by a name in capitals or by its choices: `--format {table,csv}`.
    given = any(word.startswith("-") for word in before)
    valued: dict[str, str] = (
        dict(re.findall(r"(?<![\w-])(--[a-z][a-z-]*) ([A-Z]|\{.*?\})", _help(command))) if given else {}
    )
    if before and before[-1] in valued:
        if valued[before[-1]].startswith("{"):
            return valued[before[-1]].strip("{}").split(",")
        return _values_of_kind(_OPTION_VALUES.get(before[-1], ""), before, current)
    previous = ["", *before]
    positional = [word for word, last in zip(before, previous, strict=False) if word[:1] != "-" and last not in valued]
    positions = _POSITIONS.get(command, ("",))
    return _values_of_kind(positions[min(len(positional), len(positions) - 1)], positional, current)


def _values_of_kind(kind: str, before: Sequence[str], current: str) -> list[str]:
    kinds: dict[str, Callable[[], Iterable[str]]] = {
        "": list,
        "group": lambda: GROUPS,
        "shown": lambda: (*GROUPS, *SETTINGS, "latest", *_runs(current)),
        "component": lambda: registry.names(before[0]),
        "run": lambda: ["latest", *_runs(current)],
        "model": lambda: _query_store(_MODELS),
        "file": lambda: _files(current),
        "override": lambda: _complete_override(before[1:], current),
        "format": lambda: registry.names("format"),
        "shell": lambda: ("bash", "zsh", "fish"),
    }
    return list(kinds[kind]())


def _help(command: str) -> str:
    """Returns the help of a command, from which its options are read, so that they are declared in one place."""
    import importlib

    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        importlib.import_module(f"kexp.commands.{command}").main(["--help"])
    return output.getvalue()


def _complete_override(before: Sequence[str], current: str) -> list[str]:
    sign = current[: len(current) - len(current.lstrip("+~"))]
    key, given, value = current[len(sign) :].partition("=")
    if given:
        done = re.match(r".*[\[,]|", value).group()  # type: ignore[union-attr]  # the empty alternative always matches
        values = _values(before, key, value[len(done) :])
        return [f"{sign}{key}={done}{each}" for each in values]
    parent, dot, _ = key.rpartition(".")
    if dot:
        return [f"{sign}{parent}.{name}" for name in _children(before, parent)]
    nodes = [name for name in dict.fromkeys([*_defaults(), *SETTINGS]) if name not in _NO_NODES]
    return [f"{sign}{name}=" for name in (*_defaults(), *_SCALARS)] + [f"{sign}{name}." for name in nodes]


def _children(before: Sequence[str], parent: str) -> list[str]:
    """Returns the keys below a config node: parameters with `=`, nodes with `.`."""
    if parent in SETTINGS:
        return [f"{field.name}=" for field in fields(SETTINGS[parent])]
    group = parent.partition(".")[0]
    if group in GROUPS and GROUPS[group].several and parent == group:
        return [f"{GROUPS[group].node(name).rpartition('.')[2]}." for name in _chosen_options(before, group)]
    names = [f"{each.name}=" for each in _parameters(before, parent)]
    return [name if name != "schedule=" else "schedule." for name in names]


def _parameters(before: Sequence[str], node: str) -> list[Parameter]:
    """Returns the parameters of the component at a config node."""
    group, _, inner = node.partition(".")
    if node == "optimizer.schedule":
        group = "schedule"
    if group not in GROUPS:
        return []
    names = _chosen_options(before, group)
    if GROUPS[group].several and inner:
        names = [name for name in names if GROUPS[group].node(name) == node] or [inner]
    if not names or (inner and not GROUPS[group].several and node != "optimizer.schedule"):
        return []
    return _parameters_of(group, names[-1])


def _parameters_of(group: str, name: str) -> list[Parameter]:
    preset = _preset(group, name)
    if preset:
        below = [each for each in preset.get("defaults", ()) if isinstance(each, str) and each != "_self_"]
        base = preset.get("name") or (below[0] if below else None)
        name = base if isinstance(base, str) and base != name else name
    component = registry.find(group, name)
    signature = component.signature()
    common = [each for each in GROUPS[group].common if each.name not in signature]
    return [*signature.parameters, *common]


def _chosen_options(before: Sequence[str], group: str) -> list[str]:
    """Returns the options of a group that the line chooses, else those of the primary config; `auto` is resolved."""
    for word in reversed(before):
        key, given, value = word.strip("'\"").lstrip("+~").partition("=")
        if given and key == group:
            return [each for each in value.strip("[]").split(",") if each]
    default = _defaults().get(group)
    if (group, default) == ("optimizer", AUTO):
        return [DEFAULT_OPTIMIZER]
    return [each for each in (default if isinstance(default, list) else [default]) if each and each != AUTO]


def _values(before: Sequence[str], key: str, current: str) -> list[str]:
    node, _, leaf = key.rpartition(".")
    if leaf.endswith("path"):
        return _files(current)
    if not node and (key in _defaults() or key in GROUPS or (conf_folder() / key).is_dir()):
        known = registry.names(key) if key in GROUPS else []
        presets = [path.stem for path in (conf_folder() / key).glob("*.yaml")]
        return sorted({*known, *presets}) + (["null"] if _defaults().get(key, "") is None else [])
    if leaf == "feed":
        return ["numpy", "tfdata"]
    return _values_of_rule(_annotation(before, node, leaf))


def _annotation(before: Sequence[str], node: str, leaf: str) -> Any:
    """Returns the annotation of a config key; None if it has none."""
    if not node:
        return _SCALARS.get(leaf)
    if node in SETTINGS:
        return get_type_hints(SETTINGS[node], include_extras=True).get(leaf)
    for each in _parameters(before, node):
        if each.name == leaf:
            return bool if each.annotation is None and isinstance(each.default, bool) else each.annotation
    return None


def _values_of_rule(annotation: Any) -> list[str]:
    """Returns the values that an annotation lists: members of a Literal, true and false, null."""
    kind = get_origin(annotation)
    if kind is Annotated:
        return _values_of_rule(get_args(annotation)[0])
    if kind is Literal:
        return [str(each) for each in get_args(annotation)]
    if kind in (Union, UnionType):
        return [value for each in get_args(annotation) for value in _values_of_rule(each)]
    return {bool: ["true", "false"], type(None): ["null"]}.get(annotation, [])


@cache
def _defaults() -> dict[str, Any]:
    """Returns the config groups of the primary config with their default options."""
    content = _read_yaml(conf_folder() / "config.yaml")
    groups: dict[str, Any] = {}
    for entry in content.get("defaults", ()):
        if isinstance(entry, dict):
            groups |= {key: value for key, value in entry.items() if not key.startswith("override ")}
    return groups


def _preset(group: str, name: str) -> dict[str, Any]:
    path = conf_folder() / group / f"{name}.yaml"
    return _read_yaml(path) if path.is_file() else {}


@cache
def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded if isinstance(loaded, dict) else {}


def _files(current: str) -> list[str]:
    found = glob.glob(glob.escape(current) + "*")
    return sorted(f"{path}/" if os.path.isdir(path) else path for path in found)


def _runs(current: str) -> list[str]:
    """Returns ids of the latest runs. Adds `best:SWEEP` to a `b`; completes an `m` only to addresses of models."""
    if current.startswith("b"):
        return [*_query_store(_RUNS), *(f"best:{name}" for name in ["latest", *_query_store(_SWEEPS)])]
    if current.startswith("m"):
        pairs = zip(*[iter(_query_store(_ALIASES))] * 2, strict=True)
        versions = [f"models:/{name}/latest" for name in _query_store(_MODELS)]
        return [*(f"models:/{name}@{alias}" for name, alias in pairs), *versions]
    return _query_store(_RUNS)


def _query_store(query: str) -> list[str]:
    """Queries a store that is an SQLite file directly, because importing MLflow takes seconds."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not path.is_file():
        return []
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)) as store:
        return [str(value) for row in store.execute(query) for value in row]

"""What could come next in a command line, from metadata, signatures and YAML files alone."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache, lru_cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from kexp import registry
from kexp.commands import COMMANDS
from kexp.errors import KexpError
from kexp.folders import conf_folder
from kexp.groups import GROUPS
from kexp.schema import SETTINGS
from kexp.signatures import Parameter

__all__ = ["candidates"]

_SCALARS = {"name": None, "seed": None, "backend": Literal["tensorflow", "jax", "torch"]}
_HYDRA_FLAGS = "--help --multirun -m --cfg --config-dir --config-name --info --debug --version".split()
_VALUED_FLAGS = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn")
# Groups whose options land elsewhere than in a node of their name.
_NO_NODES = ("schedule", "experiment")
# What stands where in each command's arguments; the last one repeats.
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
_OPTION_VALUES = {"--format": "format", "--from": "format", "--part": "part", "--experiment": "", "--tracking-uri": "",
                  "--port": "", "--array": "", "--batch-size": "", "--config-dir": "file",
                  "--alias": "", "--if-better": "", "--direction": ""}  # fmt: skip
_MOST = 30  # runs, sweeps or models
_RUNS = f"SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' ORDER BY start_time DESC LIMIT {_MOST}"
_SWEEPS = (
    "SELECT DISTINCT tags.value FROM tags JOIN runs USING (run_uuid) WHERE tags.key = 'kexp.sweep.name' "
    f"AND runs.lifecycle_stage = 'active' ORDER BY runs.start_time DESC LIMIT {_MOST}"
)
_MODELS = f"SELECT name FROM registered_models ORDER BY name LIMIT {_MOST}"
_ALIASES = f"SELECT name, alias FROM registered_model_aliases ORDER BY name, alias LIMIT {_MOST}"


def candidates(line: str) -> list[str]:
    """The words that could stand in place of the last one of `line`.

    Args:
        line: the command line up to the cursor, with the program's own words.
    """
    words = line.split()
    if not words or line[-1:].isspace():
        words.append("")
    words = words[3:] if words[1:3] == ["-m", "kexp"] else words[1:]
    before, current = words[:-1], words[-1] if words else ""
    quote = current[:1] if current[:1] in ("'", '"') else ""
    try:
        found = _found(before, current[len(quote) :])
    except (KexpError, OSError, sqlite3.Error):  # a TAB never complains
        return []
    return [quote + each for each in dict.fromkeys(found) if each.startswith(current[len(quote) :])]


def _found(before: Sequence[str], current: str) -> list[str]:
    command = before[0] if before else ""
    if command in COMMANDS:
        return _in_command(command, before[1:], current)
    if before and before[-1] in ("--config-dir", "-cd"):
        return _files(current)
    if before and before[-1] in _VALUED_FLAGS:
        return ["job", "hydra", "all"] if before[-1] in ("--cfg", "-c") else []
    if current.startswith("-"):
        return list(_HYDRA_FLAGS)
    return [*([] if before else COMMANDS), *_overrides(before, current)]


def _in_command(command: str, before: Sequence[str], current: str) -> list[str]:
    if before and before[-1] in _OPTION_VALUES:
        return _of_kind(_OPTION_VALUES[before[-1]], before, current)
    if current.startswith("-"):
        return _options(command)
    after = [None, *before]  # the word before each word
    positional = [
        word for word, last in zip(before, after, strict=False) if word[:1] != "-" and last not in _OPTION_VALUES
    ]
    positions = _POSITIONS.get(command, ("",))
    return _of_kind(positions[min(len(positional), len(positions) - 1)], positional, current)


def _of_kind(kind: str, before: Sequence[str], current: str) -> list[str]:
    kinds: dict[str, Callable[[], Iterable[str]]] = {
        "": list,
        "group": lambda: GROUPS,
        "shown": lambda: (*GROUPS, *SETTINGS, "latest", *_runs(current)),
        "component": lambda: registry.names(before[0]),
        "run": lambda: ["latest", *_runs(current)],
        "model": lambda: _in_store(_MODELS),
        "file": lambda: _files(current),
        "override": lambda: _overrides(before[1:], current),
        "format": lambda: registry.names("format"),
        "part": lambda: ("test", "validation", "train", "all"),
        "shell": lambda: ("bash", "zsh", "fish"),
    }
    return list(kinds[kind]())


def _options(command: str) -> list[str]:
    """The options that a command's help lists: what is written there is written nowhere else."""
    import importlib

    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        importlib.import_module(f"kexp.commands.{command}").main(["--help"])
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*", told.getvalue())


def _overrides(before: Sequence[str], current: str) -> list[str]:
    sign = current[: len(current) - len(current.lstrip("+~"))]
    key, given, value = current[len(sign) :].partition("=")
    if given:
        done = re.match(r".*[\[,]|", value).group()  # type: ignore[union-attr]  # the empty alternative always matches
        values = _values(before, key, value[len(done) :])
        return [f"{sign}{key}={done}{each}" for each in values]
    parent, dot, _ = key.rpartition(".")
    if dot:
        return [f"{sign}{parent}.{name}" for name in _children(before, parent)]
    nodes = [name for name in dict.fromkeys([*_defaults(), *_settings()]) if name not in _NO_NODES]
    return [f"{sign}{name}=" for name in (*_defaults(), *_SCALARS)] + [f"{sign}{name}." for name in nodes]


def _children(before: Sequence[str], parent: str) -> list[str]:
    """The keys below a config node: parameters with `=`, nodes below with `.`."""
    if parent in _settings():
        return [f"{field.name}=" for field in fields(_settings()[parent])]
    group = parent.partition(".")[0]
    if group in GROUPS and GROUPS[group].several and parent == group:
        return [f"{GROUPS[group].node(name).rpartition('.')[2]}." for name in _chosen(before, group)]
    names = [f"{each.name}=" for each in _parameters(before, parent)]
    return [name if name != "schedule=" else "schedule." for name in names]


def _parameters(before: Sequence[str], node: str) -> list[Parameter]:
    """The parameters of the component that stands at a config node."""
    group, _, inner = node.partition(".")
    if node == "optimizer.schedule":
        group = "schedule"
    if group not in GROUPS:
        return []
    names = _chosen(before, group)
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


def _chosen(before: Sequence[str], group: str) -> list[str]:
    """The options of a group that the line chooses, or those that the primary config does; of `auto` what it is."""
    from kexp.schema import AUTO, DEFAULT_OPTIMIZER

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
        return sorted({*known, *_presets(key)}) + (["null"] if _defaults().get(key, "") is None else [])
    if leaf == "feed":
        return ["numpy", "tfdata"]
    return _of_annotation(_annotation(before, node, leaf))


def _annotation(before: Sequence[str], node: str, leaf: str) -> Any:
    """The rule of a config key; None where there is none."""
    if not node:
        return _SCALARS.get(leaf)
    if node in _settings():
        return get_type_hints(_settings()[node], include_extras=True).get(leaf)
    for each in _parameters(before, node):
        if each.name == leaf:
            return bool if each.annotation is None and isinstance(each.default, bool) else each.annotation
    return None


def _of_annotation(annotation: Any) -> list[str]:
    """The values that a rule names: members of a Literal, true and false, null."""
    kind = get_origin(annotation)
    if kind is Annotated:
        return _of_annotation(get_args(annotation)[0])
    if kind is Literal:
        return [str(each) for each in get_args(annotation)]
    if kind in (Union, UnionType):
        return [value for each in get_args(annotation) for value in _of_annotation(each)]
    return {bool: ["true", "false"], type(None): ["null"]}.get(annotation, [])


@lru_cache(maxsize=1)
def _settings() -> Mapping[str, type]:
    from kexp.schema import SETTINGS

    return SETTINGS


@lru_cache(maxsize=1)
def _defaults() -> dict[str, Any]:
    """The config groups of the primary config, each with the option it has by default."""
    content = _yaml(conf_folder() / "config.yaml")
    groups: dict[str, Any] = {}
    for entry in content.get("defaults", ()):
        if isinstance(entry, dict):
            groups |= {key: value for key, value in entry.items() if not key.startswith("override ")}
    return groups


def _presets(group: str) -> list[str]:
    return [path.stem for path in (conf_folder() / group).glob("*.yaml")]


def _preset(group: str, name: str) -> dict[str, Any]:
    path = conf_folder() / group / f"{name}.yaml"
    return _yaml(path) if path.is_file() else {}


@cache
def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded if isinstance(loaded, dict) else {}


def _files(current: str) -> list[str]:
    found = glob.glob(glob.escape(current) + "*")
    return sorted(f"{path}/" if os.path.isdir(path) else path for path in found)


def _runs(current: str) -> list[str]:
    """Ids of the latest runs; once `best:` or `models:` is begun, the sweeps or the registered models."""
    if current.startswith("b"):
        return [*_in_store(_RUNS), *(f"best:{name}" for name in ["latest", *_in_store(_SWEEPS)])]
    if current.startswith("m"):
        pairs = zip(*[iter(_in_store(_ALIASES))] * 2, strict=True)
        versions = [f"models:/{name}/latest" for name in _in_store(_MODELS)]
        return [*(f"models:/{name}@{alias}" for name, alias in pairs), *versions]
    return _in_store(_RUNS)


def _in_store(query: str) -> list[str]:
    """What a store that is a file answers, row by row; MLflow takes seconds to ask."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not path.is_file():
        return []
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)) as store:
        return [str(value) for row in store.execute(query) for value in row]

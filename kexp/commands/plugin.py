"""`kexp plugin new NAME` writes a package with a component; `kexp plugin check` runs the contract suite."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kexp import registry
from kexp.commands.support.options import Parser
from kexp.errors import ConfigError, UnknownNameError
from kexp.registry import Component
from kexp.registry.groups import GROUPS, find_group

__all__ = ["create", "main"]

TEMPLATES = Path(__file__).parent / "plugin_template"
_SHARED, _ENDING = "_shared", ".template"


def main(arguments: Sequence[str]) -> int:
    """Writes a package or checks components; returns exit code 1 if a component breaks the contract."""
    parser = Parser(prog="kexp plugin", description="Write and check components of your own.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="new | check")
    new = actions.add_parser("new", help="write a package with one component, its tests and a README")
    new.add_argument("name", metavar="NAME", help="the package's name: lower-case words joined by hyphens")
    new.add_argument("--group", default="optimizer", metavar="GROUP", help="the component's group (optimizer)")
    new.add_argument("--directory", default=".", type=Path, metavar="DIR", help="the parent of its folder (.)")
    check = actions.add_parser("check", help="run kexp's contract suite on installed components")
    check.add_argument(
        "group", nargs="?", metavar="GROUP", help="only this group (launcher, sweeper, engine too), or GROUP=NAME"
    )
    check.add_argument("name", nargs="?", metavar="NAME", help="only this component, or module:attribute")
    check.add_argument("values", nargs="*", metavar="KEY=VALUE", help="values of its parameters")
    check.add_argument("--all", action="store_true", help="check kexp's own components too")
    args = parser.parse_args(arguments)
    if args.action == "new":
        folder = create(args.name, args.group, args.directory)
        quoted = shlex.quote(str(folder))
        print(f"wrote {folder}\n\n  pip install -e {quoted}\n  kexp components {args.group}\n  pytest {quoted}")
        return 0
    return _check(args.group, args.name, args.values, args.all)


def create(name: str, group: str, directory: Path) -> Path:
    """Writes the package `directory/name` atomically.

    Args:
        name: the distribution's name; the component has the same, with underscores.
        group: the component's group.
        directory: an existing folder.

    Returns:
        The package's folder.

    Raises:
        ConfigError: the name is invalid or taken, the group is unknown, or the directory cannot be written.
    """
    find_group(group)
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ConfigError.at("NAME", "must be lower-case words of letters and digits joined by hyphens", name)
    module = name.replace("-", "_")
    if module in registry.names(group):
        raise ConfigError(f"NAME: {group}={module} exists, of {registry.find(group, module).origin}; choose another")
    if importlib.util.find_spec(module) is not None:
        raise ConfigError(f"NAME: a module {module} is installed; choose another")
    target = directory / name
    if target.exists():
        raise ConfigError(f"NAME: {target} exists and is not overwritten; choose another name or --directory")
    if not directory.is_dir():
        raise ConfigError(f"--directory: there is no folder {directory}")
    values = {"@NAME@": name, "@MODULE@": module, "@GROUP@": group, "@CLASS@": module.title().replace("_", "")}
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=directory))
    try:
        for source in (TEMPLATES / _SHARED, TEMPLATES / group):
            for file in sorted(source.rglob(f"*{_ENDING}")):
                place = scratch / _fill_in(str(file.relative_to(source)), values).removesuffix(_ENDING)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(_fill_in(file.read_text(encoding="utf-8"), values), encoding="utf-8")
        scratch.chmod(0o755)
        scratch.rename(target)
    except OSError as error:
        raise ConfigError(f"--directory: {directory} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _fill_in(text: str, values: dict[str, str]) -> str:
    for mark, word in values.items():
        text = text.replace(mark, word)
    return text


def _check(group: str | None, name: str | None, values: Sequence[str], everything: bool) -> int:
    """Runs the contract suite on the components that the arguments name. Returns the exit code."""
    if importlib.util.find_spec("pytest") is None:
        raise ConfigError("plugin check: needs pytest; install with: pip install pytest")
    if group is not None and (":" in group or "=" in group):
        values = [name, *values] if name else values
        owner, _, name = group.rpartition("=")
        group = owner or importlib.import_module("kexp.testing.references").group_of_reference(name)
    chosen = _chosen(group, name, everything)
    if not chosen:
        of_it = f"no {group} of another package" if group else "no component of another package"
        print(f"{of_it} is installed; --all checks kexp's own")
        return 0
    # Imported by name, because the suite needs pytest and the other commands do not.
    checked: int = importlib.import_module("kexp.testing.installed").check(chosen, _values(values))
    return checked


def _values(written: Sequence[str]) -> dict[str, Any]:
    """Parses parameters, written as on the command line of a run."""
    import yaml

    found = {}
    for each in written:
        key, equals, value = each.partition("=")
        if not equals:
            raise ConfigError.at("KEY=VALUE", "must be a parameter and its value, as in beta=0.8", each)
        found[key] = yaml.safe_load(value)
    return found


def _chosen(group: str | None, name: str | None, everything: bool) -> list[Component]:
    """Returns the components to check: one by name, those of a group, or all."""
    if group is not None and group not in (*GROUPS, *registry.PARTS):
        raise UnknownNameError("GROUP", "group", group, (*GROUPS, *registry.PARTS))
    if group in registry.PARTS:
        found = [(each, registry.find_part(group, each)) for each in ([name] if name else registry.part_names(group))]
    elif group is not None and name is not None:
        found = [(name, registry.find(group, name, "NAME"))]
    else:
        found = list(registry.components(group))
        for part in () if group else registry.PARTS:
            found += [(each, registry.find_part(part, each)) for each in registry.part_names(part)]
    kept = [
        component
        for label, component in found
        if name or ((everything or component.distribution != registry.OURSELVES) and label == component.name)
    ]
    return list(dict.fromkeys(kept))

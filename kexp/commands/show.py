"""`kexp show GROUP NAME`: shows a component's parameters, defaults and documentation.

`kexp show trainer` shows settings; for `kexp show RUN` see `show_run`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from typing import Any

from kexp import registry, traits
from kexp.commands.support.options import add_experiment, store_parser, truncate
from kexp.commands.support.preview import can_preview, preview
from kexp.errors import ComponentError, ConfigError, StoreError, UnknownNameError
from kexp.registry import Component
from kexp.registry.groups import GROUPS, find_group
from kexp.rules import rule_of
from kexp.schema import SETTINGS, settings_of
from kexp.signatures import REQUIRED, UNREADABLE

__all__ = ["main"]

_RUN = re.compile(r"latest|best:.+|(runs|models):/.+|[0-9a-f]{3,32}")
_UNFILLED = re.compile(r"^ *\{\{.*\}\}\n?", re.MULTILINE)  # placeholders that Keras fills in at import


def main(arguments: Sequence[str]) -> int:
    """Prints a component's parameters and documentation, settings, or a run; returns the exit code."""
    parser = store_parser("show", "Show a component's parameters and documentation, settings, or a run.")
    parser.add_argument("group", metavar="GROUP", help="optimizer, loss, metrics, ...; or GROUP=NAME; or a run")
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="a name that `kexp components GROUP` lists, or module:attribute; none for trainer, save, ...",
    )
    parser.add_argument("overrides", metavar="OVERRIDE", nargs="*", help="what to try it with: data=iris loss.gamma=3")
    add_experiment(parser)
    args = parser.parse_args(_split_group(arguments))
    if args.name is None and args.group not in (*GROUPS, *SETTINGS):
        from kexp.commands.support.show_run import show_run

        try:
            return show_run(args.group, args.tracking_uri, args.experiment)
        except (UnknownNameError, StoreError):
            if _RUN.fullmatch(args.group):
                raise
            raise UnknownNameError("GROUP", "group or run", args.group, [*GROUPS, *SETTINGS]) from None
    if args.name is None and args.group in SETTINGS:
        return _show_settings(args.group)
    find_group(args.group)
    if args.name is None:
        raise ConfigError(f"NAME: must be given, one of those that `kexp components {args.group}` lists")
    name = args.name.strip("[]") if GROUPS[args.group].several else args.name
    return _show_component(args.group, name, args.overrides)


def _split_group(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with `GROUP=NAME` split in two.

    It is the first argument that begins with the name of a group; without one, the first that is no flag.
    """
    places = [place for place, each in enumerate(arguments) if not each.startswith(("-", "tracking."))]
    groups = [place for place in places if arguments[place].partition("=")[0] in GROUPS]
    first = next(iter(groups or places), 0)
    return [part for place, each in enumerate(arguments) for part in (each.split("=", 1) if place == first else [each])]


def _show_component(group: str, name: str, overrides: Sequence[str]) -> int:
    """Prints what a component is, its parameters and its help; of a reference, also how it would train."""
    component = registry.find(group, name, "NAME")
    can_try = component.distribution == "reference" and can_preview(group)
    if can_try:
        from kexp.sweeps.sweep_command import announce_backend

        announce_backend(["backend=jax"])
    signature = component.signature()
    print(f"{group}={name}  ({component.target}, {component.origin})")
    names = [name for name, each in registry.components(group) if each.target == component.target]
    names += [alias for name in names for alias in registry.aliases_of(group, name)]
    if len(names) > 1:
        print(f"names: {', '.join(names)}")
    if component.distribution != registry.OURSELVES:
        print(_how_it_is_used(component))
    common = [p for p in component.common if p.name not in signature]
    rows = [(p.name, _default(p.default), p.help) for p in (*signature.parameters, *common)]
    if rows:
        print("\nparameters")
    _print_rows(rows)
    if signature.help:
        print("\n" + _UNFILLED.sub("", inspect.cleandoc(signature.help)).rstrip())
    lines = preview(group, name, overrides) if can_try else ()
    for place, (label, text) in enumerate(lines):
        print(("" if place else "\n") + f"{label:<8} {text}")
    if component.claimants:
        raise ComponentError(f"NAME: {name!r} is also claimed by {', '.join(component.claimants)}")
    return 0


def _show_settings(key: str) -> int:
    print(f"{key}\n\nsettings")
    settings = settings_of(key)
    for each in settings:
        print(f"  {each.name}={_default(each.default)}  ({rule_of(each.annotation)})\n      {each.help}")
    return 0


def _print_rows(rows: Sequence[tuple[str, str, str]]) -> None:
    left, middle = (max((len(row[i]) for row in rows), default=0) for i in (0, 1))
    for name, default, text in rows:
        print(f"  {name:<{left}}  {default:<{middle}}  {truncate(text)}".rstrip())


def _how_it_is_used(component: Component) -> str:
    """Returns a line on how kexp uses the object that a user's name refers to."""
    group, reading = GROUPS[component.group], component.reading()
    if reading.kind == "copied":
        return "read as an existing object; each run has a copy"
    if reading.kind == "made":
        return f"read as a class or function that makes {group.one}"
    filled = reading.signature.taken
    taken = f" with {' and '.join(filled)}" if filled else ""
    if group.name not in ("loss", "metrics"):
        return f"read as {group.one} itself, which Keras calls{taken}"
    form = traits.of(component).targets
    targets = f"takes {form} targets" if form not in ("dense", "any") else "a trial call finds its form of targets"
    return f"read as {group.one} itself, which Keras calls{taken}; {targets}"


def _default(value: Any) -> str:
    if value is REQUIRED:
        return "(required)"
    if value is UNREADABLE:
        return "(its own)"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_default(each) for each in value)}]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)

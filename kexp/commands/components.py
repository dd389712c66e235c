"""`kexp components [GROUP]`: lists the registered components."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kexp import registry
from kexp.commands.support.options import Parser, truncate
from kexp.errors import ComponentError

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Prints name, package and one-line help of each component, with the reason if it is broken."""
    parser = Parser(prog="kexp components", description="List the components that a config can choose.")
    parser.add_argument("group", nargs="?", help="only this group: optimizer, loss, ...")
    parser.add_argument("--names", action="store_true", help="only the names, one per line")
    args = parser.parse_args(arguments)
    rows = list(registry.components(args.group))
    if args.names:
        print("\n".join(name for name, _ in rows))
        return 0
    width = max((len(name) for name, _ in rows), default=0)
    group = None
    for name, component in rows:
        if component.group != group:
            group = component.group
            print(f"{'' if name == rows[0][0] else chr(10)}{group}")
        print(f"  {name:<{width}}  {component.origin:<14}  {_help(component)}".rstrip())
    for sentence in registry.misplaced():
        print(f"kexp: {sentence}", file=sys.stderr)
    return 0


def _help(component: registry.Component) -> str:
    if component.claimants:
        return f"CLASH: also claimed by {', '.join(component.claimants)}"
    try:
        return truncate(component.summary(), 90)
    except ComponentError as error:
        return f"BROKEN: {error}"

"""`kexp doctor`: finds problems of packages, plugins, store, runs and files; `--fix` repairs some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kexp.commands.support.checks import Finding, components, environment, files, packages, runs, store, waiting
from kexp.commands.support.options import hide_warnings, store_parser
from kexp.errors import KexpError
from kexp.tracking.settings import StoreSettings, command_line

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Prints one line for each finding; returns exit code 1 if a problem remains."""
    parser = store_parser("doctor", "Find problems: packages, plugins, the store, its runs, stray files.")
    parser.add_argument("--fix", action="store_true", help="repair dead runs, old tables and stray files")
    args = parser.parse_args(arguments)
    hide_warnings()
    problems, fixed, fixable = 0, 0, 0
    for finding in _findings(args.tracking_uri):
        print(f"{finding.area:<11}{'' if finding.ok else 'WRONG: '}{finding.text}")
        if finding.ok:
            continue
        problems += 1
        if finding.fix is None:
            continue
        fixable += 1
        if args.fix:
            fixed += _fix(finding.fix)
    left = problems - fixed
    print()
    if not left:
        print("no problems found" if not problems else f"no problems left: {fixed} fixed")
        return 0
    fix = command_line("doctor", "--fix", store=StoreSettings(uri=args.tracking_uri))
    hint = "" if args.fix or not fixable else f"; `{fix}` fixes {fixable}"
    print(f"{left} {'problem' if left == 1 else 'problems'} found{hint}")
    return 1


def _findings(uri: str | None) -> Iterator[Finding]:
    """Yields the findings of all checks. A check that fails is a finding itself."""
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("kexp", environment),
        ("packages", packages),
        ("plugins", components),
        ("store", lambda: store(uri)),
        ("runs", lambda: runs(uri)),
        ("waiting", waiting),
        ("files", files),
    ]
    for area, check in checks:
        try:
            yield from check()
        except KexpError as error:
            yield Finding(area, False, str(error))


def _fix(fix: Callable[[], str]) -> bool:
    try:
        print(f"{'':<11}fixed: {fix()}")
    except KexpError as error:
        print(f"{'':<11}not fixed: {error}")
        return False
    return True

"""`kexp doctor`: what is wrong with packages, plugins, store, runs and files, and `--fix` for what can be mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kexp.commands.health import Finding, components, environment, files, packages, runs, store, waiting
from kexp.commands.options import quiet, store_parser
from kexp.errors import KexpError
from kexp.tracking.settings import StoreSettings, command_line

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Prints one line a finding; exit code 1 where something is wrong and stays so."""
    parser = store_parser("doctor", "Look for what is wrong: packages, plugins, the store, its runs, stray files.")
    parser.add_argument("--fix", action="store_true", help="mend what can be: dead runs, old tables, stray files")
    given = parser.parse_args(arguments)
    quiet()
    wrong, mended, mendable = 0, 0, 0
    for finding in _findings(given.tracking_uri):
        print(f"{finding.area:<11}{'' if finding.well else 'WRONG: '}{finding.text}")
        if finding.well:
            continue
        wrong += 1
        if finding.mend is None:
            continue
        mendable += 1
        if given.fix:
            mended += _mended(finding.mend)
    left = wrong - mended
    print()
    if not left:
        print("all is well" if not wrong else f"all is well now: {mended} mended")
        return 0
    fix = command_line("doctor", "--fix", store=StoreSettings(uri=given.tracking_uri))
    hint = "" if given.fix or not mendable else f"; `{fix}` mends {mendable}"
    print(f"{left} {'thing is' if left == 1 else 'things are'} wrong{hint}")
    return 1


def _findings(uri: str | None) -> Iterator[Finding]:
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


def _mended(mend: Callable[[], str]) -> bool:
    try:
        print(f"{'':<11}mended: {mend()}")
    except KexpError as error:
        print(f"{'':<11}could not be mended: {error}")
        return False
    return True

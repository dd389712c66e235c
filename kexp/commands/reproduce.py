"""`kexp reproduce RUN`: runs a run's config again and compares the history and test metrics value by value."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.commands.support.options import find_run_argument, hide_warnings, run_parser
from kexp.system.wording import counted

if TYPE_CHECKING:
    from kexp.stored import StoredRun
    from kexp.stored.replay import Comparison, Difference

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs a run again and compares; returns exit code 0 if every value is equal, 1 if one differs."""
    parser = run_parser(
        "reproduce", "Run a run's config again and compare every metric of every epoch. Exit code 1 if one differs."
    )
    parser.add_argument(
        "--save", action="store_true", help="record the repetition as a run of its own, with its models"
    )
    parser.add_argument(
        "--code",
        choices=["now", "run"],
        default="now",
        help="your own modules: as they are now, or as saved with the run",
    )
    args = parser.parse_args(arguments)
    hide_warnings()
    from kexp.stored.code import recorded_code

    run = find_run_argument(args)
    with recorded_code(run, args.code):
        return _reproduce(run, args.save)


def _reproduce(run: StoredRun, save: bool) -> int:
    """Runs a run again and prints what differs. Returns 0 if history and test metrics are equal, else 1."""
    from kexp.stored import replay
    from kexp.stored.code import changed_code

    print(f"run       {run.view.name}  {run.view.run_id}")
    for name, (then, now) in replay.changed_packages(run).items():
        print(f"package   {name} was {then}, is {now}")
    with tempfile.TemporaryDirectory(prefix="kexp-reproduce-") as temporary:
        if save:
            from kexp.api import new_folder

            folder = new_folder()
        else:
            folder = Path(temporary)
        history, tested, result = replay.repeat(run, folder, save=save)
    if result is not None and save:
        print(f"again     {result.name}  {result.run_id}")
    if result is not None and _fingerprint_differs(run, result.fingerprint):
        print("changed   the fingerprint is another: the data, a package or a component is not what it was")
        for name in changed_code(run, result.experiment):
            print(f"code      {name} is not what it was; --code run takes what the run kept")
    comparison = replay.compare(run, history, tested)
    _report(comparison)
    return 0 if comparison.equal else 1


def _fingerprint_differs(run: StoredRun, now: str) -> bool:
    then = run.view.tags.get("kexp.fingerprint")
    return then is not None and then != now and "kexp.fewer_lanes" not in run.view.tags


def _report(comparison: Comparison) -> None:
    compared = f"{counted(comparison.epochs, 'epoch')} of {', '.join(comparison.metrics)}"
    if comparison.equal:
        print(f"equal     {compared}")
        return
    first = comparison.differences[0]
    print(f"different {counted(len(comparison.differences), 'value')} of {compared}")
    print(f"first     {_epoch_and_metric(first)}: {_value(first.then)} then, {_value(first.now)} now")
    largest = max(comparison.differences, key=_absolute_difference)
    if largest is not first and _absolute_difference(largest) > 0:
        print(f"largest   {_epoch_and_metric(largest)}: {_value(largest.then)} then, {_value(largest.now)} now")


def _epoch_and_metric(difference: Difference) -> str:
    return difference.metric if difference.epoch is None else f"epoch {difference.epoch}, {difference.metric}"


def _value(value: float | None) -> str:
    return "nothing" if value is None else repr(value)


def _absolute_difference(difference: Difference) -> float:
    if difference.then is None or difference.now is None:
        return 0.0
    return abs(difference.then - difference.now)

"""`kexp sync [FOLDER]`: delivers the rows and trials that wait on disk because their store was away."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from kexp.commands.support.options import DEFAULT_FOLDERS, Parser, default_folders, hide_warnings
from kexp.errors import ConfigError, KexpError, StoreError
from kexp.system.wording import counted

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Delivers each waiting row and trial once; returns exit code 1 if some still wait or were refused."""
    parser = Parser(
        prog="kexp sync",
        description="Deliver rows of runs and trials of sweeps that wait on disk because their store was away.",
    )
    parser.add_argument(
        "folder", nargs="*", metavar="FOLDER", help="searched with its subfolders; by default outputs and multirun"
    )
    args = parser.parse_args(arguments)
    folders = [Path(each) for each in args.folder] or default_folders()
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError.at("FOLDER", "there is no such folder", str(folder))
    hide_warnings()
    from kexp.tracking import waiting_folders

    waiting = [path for folder in folders for path in waiting_folders(folder)]
    if not waiting:
        print(f"nothing waits in {' or '.join(map(str, folders or DEFAULT_FOLDERS))}")
        return 0
    from kexp.tracking.delivery.sync import store_of

    stores = {store: _check_store(store) for store in dict.fromkeys(map(store_of, waiting))}  # each is checked once
    return max([*stores.values(), *(_deliver(path) for path in waiting if not stores[store_of(path)])])


def _check_store(store: str) -> int:
    """Prints why a store cannot be used; returns the exit code, 0 if it can."""
    from kexp.tracking.store.server_check import check_usable

    try:
        if store:
            check_usable(store)
    except KexpError as error:
        print(f"kexp: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _deliver(path: Path) -> int:
    """Delivers what waits in one folder; returns the exit code. Other folders may belong to a reachable store."""
    from kexp.tracking.delivery.sync import deliver

    try:
        delivered = deliver(path)
    except StoreError as error:
        print(f"kexp: {error}", file=sys.stderr)
        return 1
    if delivered is None:
        kind = "sweep" if (path / "outbox" / "trials").is_dir() else "run"
        print(f"{path}: its {kind} is in progress and delivers by itself")
        return 0
    if delivered.run_id:
        print(f"{path}: {counted(delivered.rows, 'row')} delivered to run {delivered.run_id}")
    if delivered.trials or not delivered.run_id:
        print(f"{path}: {counted(delivered.trials, 'trial')} delivered")
    for reason in delivered.refused:
        print(f"kexp: {path}: the store refused {reason}", file=sys.stderr)
    return 1 if delivered.refused else 0

"""`kexp sync [FOLDER]`: what waits on disk because a store was away, delivered."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from kexp.commands.options import Parser, quiet
from kexp.errors import ConfigError, KexpError, StoreError

__all__ = ["DEFAULT_FOLDERS", "main"]

DEFAULT_FOLDERS = ("outputs", "multirun")


def main(arguments: Sequence[str]) -> int:
    """Delivers each waiting row and trial once; exit code 1 where something still waits or was refused."""
    parser = Parser(
        prog="kexp sync",
        description="Deliver what waits on disk because its store was away: rows of runs, and sweeps' trials.",
    )
    parser.add_argument(
        "folder", nargs="*", metavar="FOLDER", help="where to look, below it too; outputs and multirun unless given"
    )
    given = parser.parse_args(arguments)
    folders = [Path(each) for each in given.folder] or [each for each in map(Path, DEFAULT_FOLDERS) if each.is_dir()]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError.at("FOLDER", "there is no such folder", str(folder))
    quiet()
    from kexp.tracking import waiting_folders

    waiting = [path for folder in folders for path in waiting_folders(folder)]
    if not waiting:
        print(f"nothing waits in {' or '.join(map(str, folders or map(Path, DEFAULT_FOLDERS)))}")
        return 0
    from kexp.tracking.syncing import store_of

    stores = {store: _usable(store) for store in dict.fromkeys(map(store_of, waiting))}  # each is asked once
    return max([*stores.values(), *(_deliver(path) for path in waiting if not stores[store_of(path)])])


def _usable(store: str) -> int:
    """Says why a store cannot be used; the exit code."""
    from kexp.tracking.server_check import check_usable

    try:
        if store:
            check_usable(store)
    except KexpError as error:
        print(f"kexp: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _deliver(path: Path) -> int:
    """What waits in one folder. A store that is away stops no other folder's, which may be for another store."""
    from kexp.tracking.syncing import deliver

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
        print(f"{path}: {delivered.rows} rows delivered to run {delivered.run_id}")
    if delivered.trials or not delivered.run_id:
        print(f"{path}: {delivered.trials} trials delivered")
    for reason in delivered.refused:
        print(f"kexp: {path}: the store refused {reason}", file=sys.stderr)
    return 1 if delivered.refused else 0

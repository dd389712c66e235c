"""Where a study is kept."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from kexp.errors import ConfigError, first_line
from kexp.passwords import whole
from kexp.sweeps.search.optional import require_optuna, silent

__all__ = ["is_there", "open_storage"]

_WRITING_S = 0.5  # longer than it takes to write a line
_LONGEST = 1_000_000  # bytes of a line


JOURNAL = "study.log"
"""Where a sweep keeps its study unless told otherwise: a journal takes a fifth of the time of a database."""

_KEY = "hydra.sweeper.storage"


def open_storage(where: str | None, folder: Path) -> Any:
    """Optuna's storage.

    Args:
        where: `sqlite:///...` or another database's URL, a file that ends in .db (SQLite) or .log (a journal), or None
            for `study.log` in the sweep's folder.
        folder: the sweep's.

    Raises:
        ConfigError: it cannot be opened.
    """
    optuna = require_optuna()
    where = where or str(folder / JOURNAL)
    try:
        with silent():
            if "://" in where:
                return optuna.storages.RDBStorage(whole(where, _KEY))
            path = Path(where).resolve()
            if path.suffix in (".log", ".db"):
                path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".log":
                _mend(path)
                return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
            if path.suffix == ".db":
                return optuna.storages.RDBStorage(f"sqlite:///{path}")
    except ConfigError:
        raise
    except Exception as error:  # drivers and databases raise what they like
        raise ConfigError(f"{_KEY}: {where} cannot be opened: {first_line(error)}") from error
    raise ConfigError.at(_KEY, "must be a database's URL, or a file that ends in .db or .log", where)


def is_there(where: str | None, folder: Path) -> bool:
    """Whether there may be a study at all: a file that does not exist need not be opened to know."""
    where = where or str(folder / JOURNAL)
    return "://" in where or Path(where).exists()


def _mend(journal: Path) -> None:
    """Takes away what a process that was killed while it wrote has left: half a line, and its lock.

    Nothing but half a line is ever lost, of something that nobody has acted on yet.
    """
    if not _torn(journal):
        return
    size = journal.stat().st_size
    time.sleep(_WRITING_S)
    if not _torn(journal) or journal.stat().st_size != size:
        return  # somebody is writing it right now
    with open(journal, "r+b") as file:
        file.seek(max(0, size - _LONGEST))
        file.truncate(size - len(file.read().rpartition(b"\n")[2]))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{journal}.lock")


def _torn(journal: Path) -> bool:
    try:
        with open(journal, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"
    except OSError:  # it is not there, or empty
        return False

"""The storage of a study: a journal file or a database."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from kexp.errors import ConfigError, first_line
from kexp.sweeps.search.optuna_package import import_optuna, no_warnings
from kexp.system.passwords import restore_password

__all__ = ["may_have_study", "open_storage"]

_WRITING_S = 0.5  # longer than writing a line takes
_LONGEST_BYTES = 1_000_000  # longest line


JOURNAL = "study.log"
"""The default storage, a file in the sweep's folder: a journal takes a fifth of the time of a database."""

_KEY = "hydra.sweeper.storage"


def open_storage(location: str | None, folder: Path) -> Any:
    """Opens Optuna's storage.

    Args:
        location: a database URL such as `sqlite:///...`, a file that ends in .db (SQLite) or .log (a journal), or None
            for `study.log` in the sweep's folder.
        folder: the sweep's folder.

    Raises:
        ConfigError: the storage cannot be opened.
    """
    optuna = import_optuna()
    location = location or str(folder / JOURNAL)
    try:
        with no_warnings():
            if "://" in location:
                return optuna.storages.RDBStorage(restore_password(location, _KEY))
            path = Path(location).resolve()
            if path.suffix in (".log", ".db"):
                path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".log":
                _mend(path)
                return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
            if path.suffix == ".db":
                return optuna.storages.RDBStorage(f"sqlite:///{path}")
    except ConfigError:
        raise
    except Exception as error:  # each database driver has exceptions of its own
        raise ConfigError(f"{_KEY}: {location} cannot be opened: {first_line(error)}") from error
    raise ConfigError.at(_KEY, "must be a database's URL, or a file that ends in .db or .log", location)


def may_have_study(location: str | None, folder: Path) -> bool:
    """Returns whether the storage may have a study: True for a database, and for a file that exists."""
    location = location or str(folder / JOURNAL)
    return "://" in location or Path(location).exists()


def _mend(journal: Path) -> None:
    """Removes the incomplete last line and the lock of a process that was killed while it wrote.

    Only the incomplete line is lost, and no process has acted on it yet.
    """
    if not _ends_in_partial_line(journal):
        return
    size = journal.stat().st_size
    time.sleep(_WRITING_S)
    if not _ends_in_partial_line(journal) or journal.stat().st_size != size:
        return  # another process is writing it now
    with open(journal, "r+b") as file:
        file.seek(max(0, size - _LONGEST_BYTES))
        file.truncate(size - len(file.read().rpartition(b"\n")[2]))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{journal}.lock")


def _ends_in_partial_line(journal: Path) -> bool:
    """Returns whether the last line of a journal is incomplete, because its writer was killed."""
    try:
        with open(journal, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"
    except OSError:  # the file does not exist, or is empty
        return False

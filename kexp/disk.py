"""A disk that is full: recognised in whatever error it shows as, and said in one sentence."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from kexp.errors import KexpError

__all__ = ["DiskFullError", "disk_full_error", "is_disk_full", "no_room", "says_disk_full", "what_is_free"]

_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM_BYTES = 50_000
_WORDS = ("No space left on device", "database or disk is full", "Disk quota exceeded", "File too large")


class DiskFullError(KexpError):
    """There is no room for a file. What was written whole before stays."""


def is_disk_full(error: BaseException) -> bool:
    """Whether the error, or one that it came from, says that a disk is full."""
    return any(getattr(each, "errno", None) in _NUMBERS or says_disk_full(str(each)) for each in _chain(error))


def says_disk_full(text: str) -> bool:
    """Whether a reason that was kept as text says so."""
    return any(words in text for words in _WORDS)


def disk_full_error(error: BaseException, *, needed_bytes: int | None = None, go_on: str = "") -> DiskFullError:
    """The error as a sentence: the folder, what is free there, and what is needed where that is known.

    Args:
        error: what was raised; one of those that `is_disk_full` recognises.
        needed_bytes: the size of the file that did not fit.
        go_on: the command to type once there is room; the same as before unless given.
    """
    names = (getattr(each, "filename", None) for each in _chain(error))
    named = next((str(each) for each in names if each), "")
    folder = Path(named).absolute().parent if named else Path.cwd()
    while not folder.is_dir():
        folder = folder.parent
    where = os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)
    where = str(folder) if where == "." else where
    needed = "" if needed_bytes is None else f", and {_size(needed_bytes)} are needed"
    then = f"go on by: {go_on}" if go_on else "type the command again"
    return DiskFullError(
        f"the disk is full: {_size(shutil.disk_usage(folder).free)} are free in {where}{needed}; make room, and {then}"
    )


def no_room(folder: Path) -> bool:
    """Whether hardly anything fits on the folder's disk: what fails there then may not say why."""
    return shutil.disk_usage(folder).free < _NO_ROOM_BYTES


def what_is_free(error: BaseException) -> str:
    """The tail of a sentence on an error of ours that a full disk has caused; empty for any other."""
    if isinstance(error, DiskFullError) or not is_disk_full(error):
        return ""
    return f"; {_size(shutil.disk_usage(Path.cwd()).free)} are free here; make room, and type the command again"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"

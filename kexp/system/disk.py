"""Recognises a full disk behind any error, and describes it in one sentence."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from kexp.errors import KexpError

__all__ = [
    "DiskFullError",
    "disk_full_error",
    "free_space_hint",
    "is_disk_full",
    "is_nearly_full",
    "mentions_disk_full",
]

_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NEARLY_FULL_BYTES = 50_000
_PLENTY_BYTES = 1_000_000_000
_WORDS = ("No space left on device", "database or disk is full", "Disk quota exceeded", "File too large")


class DiskFullError(KexpError):
    """The disk has no space for a file. Files that were complete before are unchanged."""


def is_disk_full(error: BaseException) -> bool:
    """Returns whether an error, or one of its causes, reports a full disk."""
    return any(getattr(each, "errno", None) in _ERRNOS or mentions_disk_full(str(each)) for each in _chain(error))


def mentions_disk_full(text: str) -> bool:
    """Returns whether a text, such as a recorded reason, reports a full disk."""
    return any(words in text for words in _WORDS)


def disk_full_error(error: BaseException, *, needed_bytes: int | None = None, go_on: str = "") -> DiskFullError:
    """Returns an error that names the folder, its free space, and the needed space if known.

    Args:
        error: an error that `is_disk_full` recognises.
        needed_bytes: the size of the file that did not fit; None if unknown.
        go_on: the command to type afterwards; the same command by default.
    """
    names = (getattr(each, "filename", None) for each in _chain(error))
    named = next((str(each) for each in names if each), "")
    folder = Path(named).absolute().parent if named else Path.cwd()
    while not folder.is_dir():
        folder = folder.parent
    place = os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)
    place = str(folder) if place == "." else place
    free = shutil.disk_usage(folder).free
    needed = "" if needed_bytes is None else f", and {_size(needed_bytes)} are needed"
    where = f": {_size(free)} are free in {place}{needed}" if named or free < _PLENTY_BYTES else ""  # else elsewhere
    then = f"continue with: {go_on}" if go_on else "type the command again"
    return DiskFullError(f"the disk is full{where}; make room, and {then}")


def is_nearly_full(folder: Path) -> bool:
    """Returns whether a folder's disk has less than 50 kB left. Errors there may then have no clear message."""
    return shutil.disk_usage(folder).free < _NEARLY_FULL_BYTES


def free_space_hint(error: BaseException) -> str:
    """Returns the end of a sentence on an error that a full disk caused; empty for other errors."""
    if isinstance(error, DiskFullError) or not is_disk_full(error):
        return ""
    return f"; {disk_full_error(error)}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"

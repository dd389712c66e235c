"""Recognises a full disk behind any error, and describes it in one sentence."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kexp.errors import KexpError
from kexp.system.folders import shown_path

__all__ = [
    "DiskFullError",
    "disk_full_error",
    "free_space_hint",
    "full_disk",
    "is_disk_full",
    "is_nearly_full",
    "mentions_disk_full",
    "needing",
]

_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NEARLY_FULL_BYTES = 50_000
_PLENTY_BYTES = 1_000_000_000
_ADVICE = "make room, and"
_WORDS = (
    "No space left on device", "database or disk is full", "Disk quota exceeded", "File too large", "the disk is full",
)  # fmt: skip


class DiskFullError(KexpError):
    """The disk has no space for a file. Files that were complete before are unchanged."""


def is_disk_full(error: BaseException) -> bool:
    """Returns whether an error, or one of its causes, reports a full disk."""
    return any(getattr(each, "errno", None) in _ERRNOS or mentions_disk_full(str(each)) for each in _chain(error))


def mentions_disk_full(text: str) -> bool:
    """Returns whether a text, such as a recorded reason, reports a full disk."""
    return any(words.lower() in text.lower() for words in _WORDS)


@contextmanager
def needing(size_bytes: int) -> Iterator[None]:
    """Notes how much space a write within the block needs, for the message should the disk be full.

    Args:
        size_bytes: the size of what is written; 0 where it is not known.
    """
    try:
        yield
    except OSError as error:
        if size_bytes and is_disk_full(error) and not hasattr(error, "needed_bytes"):
            error.needed_bytes = size_bytes  # type: ignore[attr-defined]
        raise


def full_disk(error: BaseException, file: Path | None = None) -> str:
    """Returns the words "the disk is full" with the folder, its free space, and the needed space if known.

    Args:
        error: an error that `is_disk_full` recognises. If it has these words already, they are returned.
        file: the file that did not fit, if the error does not name it.
    """
    chain = list(_chain(error))
    said = next((found[0] for each in chain if (found := re.search(r"the disk is full: [^;]+", str(each)))), None)
    if said is not None:
        return said
    names = [name for each in chain if isinstance(name := getattr(each, "filename", None), (str, os.PathLike)) and name]
    named = next((Path(name) for name in names), file)
    folder = Path.cwd() if named is None else named.absolute().parent
    while not folder.is_dir():
        folder = folder.parent
    place = str(folder) if folder == Path.cwd() else shown_path(folder)
    free = shutil.disk_usage(folder).free
    if named is None and free >= _PLENTY_BYTES:  # it is another disk that is full
        return "the disk is full"
    needs = next((size for each in chain if (size := getattr(each, "needed_bytes", None)) is not None), None)
    needed = "" if needs is None else f", and {_size(needs)} are needed"
    return f"the disk is full: {_size(free)} are free in {place}{needed}"


def disk_full_error(error: BaseException, *, file: Path | None = None, go_on: str = "") -> DiskFullError:
    """Returns an error that names the folder, its free space, and the needed space if known.

    Args:
        error: an error that `is_disk_full` recognises.
        file: see `full_disk`.
        go_on: the command to type afterwards; the same command by default.
    """
    then = f"continue with: {go_on}" if go_on else "type the command again"
    return DiskFullError(f"{full_disk(error, file)}; {_ADVICE} {then}")


def is_nearly_full(folder: Path) -> bool:
    """Returns whether a folder's disk has less than 50 kB left. Errors there may then have no clear message."""
    return shutil.disk_usage(folder).free < _NEARLY_FULL_BYTES


def free_space_hint(error: BaseException) -> str:
    """Returns what to do after an error that a full disk caused; empty if the error says it, or has another cause."""
    if _ADVICE in str(error) or not is_disk_full(error):
        return ""
    told = str(disk_full_error(error))
    return f"; {told.partition('; ')[2] if full_disk(error) in str(error) else told}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"

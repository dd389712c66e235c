"""Limit the size of the cache: remove what was not used for the longest time."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["make_room", "make_room_for_files"]

KEPT_BYTES = 20 << 30  # limit of the tables, and of the downloaded files
KEPT_FILE_BYTES = 4 << 30  # limit of the compiled programs, of all versions together
_A_DAY_S = 86_400.0


def make_room(parent: Path, mark: str) -> None:
    """Remove the least recently used folders, if all of them together exceed the limit.

    Other processes may read and write the cache at the same time, so a folder may disappear at any moment.

    Args:
        parent: contains the folders; one whose name begins with a dot is still being written.
        mark: pattern of the file in a folder whose modification time is the time of the folder's last use.
    """
    found = []
    for used in parent.glob(f"[!.]*/{mark}"):
        with contextlib.suppress(FileNotFoundError):
            size = sum(file.stat().st_size for file in used.parent.iterdir())
            found.append((used.stat().st_mtime, size, used.parent))
    for folder in _beyond(KEPT_BYTES, found):
        shutil.rmtree(folder, ignore_errors=True)
    for left in parent.glob(".new-*"):  # left by a process that was killed
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _A_DAY_S:
                shutil.rmtree(left, ignore_errors=True)


def make_room_for_files(parent: Path) -> None:
    """Remove the least recently used files, if all of them together exceed the limit.

    A file's last use is its access time; where the system does not keep it, the file's own time.

    Args:
        parent: contains folders of files.
    """
    found = []
    for file in parent.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            status = file.stat()
            found.append((max(status.st_atime, status.st_mtime), status.st_size, file))
    for file in _beyond(KEPT_FILE_BYTES, found):
        with contextlib.suppress(OSError):
            file.unlink()


def _beyond(limit_bytes: int, found: Iterable[tuple[float, int, Path]]) -> Iterator[Path]:
    """Yield what exceeds the limit, from (time of the last use, size in bytes, path); the latest used are kept."""
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > limit_bytes:
            yield path

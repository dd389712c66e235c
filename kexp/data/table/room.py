"""Room in the cache: of the folders of a kind those that were not used for longest go, where all are too large."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

__all__ = ["make_room"]

KEPT_BYTES = 20 << 30  # of tables in the cache, and as many of what was fetched
_A_DAY_S = 86_400.0


def make_room(parent: Path, mark: str) -> None:
    """Removes the folders that were not used for longest, where all of them are too large.

    Other processes read and write here at the same time: what is gone in between is no matter.

    Args:
        parent: of the folders; one whose name begins with a dot is being written.
        mark: pattern of the file in a folder whose time is when the folder was used.
    """
    found = []
    for used in parent.glob(f"[!.]*/{mark}"):
        with contextlib.suppress(FileNotFoundError):
            size = sum(file.stat().st_size for file in used.parent.iterdir())
            found.append((used.stat().st_mtime, size, used.parent))
    total = 0
    for _, size, folder in sorted(found, reverse=True):
        total += size
        if total > KEPT_BYTES:
            shutil.rmtree(folder, ignore_errors=True)
    for left in parent.glob(".new-*"):  # by a process that was killed
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _A_DAY_S:
                shutil.rmtree(left, ignore_errors=True)

"""Locks between processes: one call of `flock`, for which filelock would be one more package."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["file_lock"]


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Locks a file between processes within the block; the system unlocks it if the process dies.

    Args:
        path: the file; created if missing.
        wait: whether to wait for another process that holds the lock.

    Yields:
        Whether this process holds the lock.
    """
    import fcntl

    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True

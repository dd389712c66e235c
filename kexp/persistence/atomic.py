"""Atomic file writes: after a crash a file has its old or its new content, never a part."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import secrets
import shutil
import time
from pathlib import Path

from kexp.system.disk import needing

__all__ = [
    "publish",
    "remove",
    "remove_stray_files",
    "sync_directory",
    "sync_tree",
    "temporary_path",
    "write_atomically",
]

_STRAY = re.compile(r"^\.tmp-(?P<pid>\d+)-[0-9a-f]{8}-")
_STALE_AFTER_S = 24 * 3600
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def temporary_path(target: Path) -> Path:
    """Returns a unique name beside `target` with the same suffix, from which Keras derives the format."""
    return target.with_name(f".tmp-{os.getpid()}-{secrets.token_hex(4)}-{target.name}")


def remove_stray_files(folder: Path) -> None:
    """Removes temporary files of processes that have ended, and those older than a day."""
    for path in folder.iterdir():
        match = _STRAY.match(path.name)
        if match is None:
            continue
        with contextlib.suppress(OSError):
            if not _is_alive(int(match["pid"])) or time.time() - path.lstat().st_mtime > _STALE_AFTER_S:
                remove(path)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file atomically: readers see the old content or the new, never a part.

    Args:
        path: the file, new or existing, in an existing folder.
        content: all of the new content.

    Raises:
        OSError: the file could not be written; the old content is unchanged.
    """
    temporary = temporary_path(path)
    try:
        with needing(len(content)):
            temporary.write_bytes(content)
            sync_tree(temporary)
            publish(temporary, path)
    finally:
        remove(temporary)
    sync_directory(path.parent)


def publish(temporary: Path, target: Path) -> None:
    """Replaces `target` by `temporary`, a file or a folder, in one step, and removes the old target."""
    if not target.is_dir() or target.is_symlink():
        if temporary.is_dir() and target.exists():
            target.unlink()
        os.replace(temporary, target)
        return
    if not _exchange(temporary, target):
        # Not every system can replace a non-empty folder in one step, so the old one is renamed first.
        aside = temporary_path(target)
        os.rename(target, aside)
        try:
            os.rename(temporary, target)
        except OSError:
            os.rename(aside, target)
            raise
        temporary = aside
    remove(temporary)


def remove(path: Path) -> None:
    """Removes a file or a whole folder; does nothing if it does not exist."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def sync_tree(path: Path) -> None:
    """Flushes a file, or every file of a folder, to the disk."""
    if not path.is_dir():
        _fsync(path)
        return
    for folder, _, names in os.walk(path):
        for name in names:
            _fsync(Path(folder, name))
        sync_directory(Path(folder))


def sync_directory(folder: Path) -> None:
    """Flushes the entries of a folder to the disk; does nothing on systems that cannot (Windows)."""
    with contextlib.suppress(PermissionError, NotImplementedError):
        _fsync(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two names in one step; returns whether the system supports it (Linux does)."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

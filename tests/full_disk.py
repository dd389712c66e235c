"""A disk that fills at a chosen write of this process, whichever file that is for."""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["FullDisk", "full_disk", "half_written"]


class FullDisk:
    """The disk of a folder; a write to it takes half of its bytes, once the disk is full.

    Attributes:
        full_from: the number of the first write that fails, from 0; None for a disk with room.
        writes: the files that were written to, made or renamed so far, by their names.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.full_from: int | None = None
        self.writes: list[str] = []
        self._lock = threading.Lock()

    def has_room(self, path: Any) -> bool:
        """Whether a write is taken; a file of another disk always is."""
        if isinstance(path, int):
            with contextlib.suppress(OSError):
                path = os.readlink(f"/proc/self/fd/{path}")
        named = os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if not named.startswith(f"{self.root}/"):
            return True
        with self._lock:
            self.writes.append(os.path.relpath(named, self.root))
            return self.full_from is None or len(self.writes) <= self.full_from

    def check(self, path: Any) -> None:
        """Raises what the system raises where a name finds no room."""
        if not self.has_room(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(path))


@contextlib.contextmanager
def full_disk(root: Path) -> Iterator[FullDisk]:
    """The disk of `root`, within the block."""
    disk = FullDisk(root)
    real_open, real_mkdir, real_replace = io.open, os.mkdir, os.replace
    real_rename, real_fsync, real_os_open = os.rename, os.fsync, os.open

    class File(io.FileIO):
        has_had_room = True  # the first write that does not fit is taken by half, as a system does

        def write(self, content: Any) -> int:
            if disk.has_room(self.fileno()):
                return super().write(content)
            view = memoryview(content).cast("B")
            if len(view) < 2 or not self.has_had_room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.has_had_room = False
            return super().write(view[: len(view) // 2])

    def open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not set(mode) & set("wax+"):
            return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int) and not os.path.exists(file):
            disk.check(file)
        raw = File(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        buffered: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    def mkdir(path: Any, *rest: Any, **how: Any) -> None:
        if not os.path.exists(path):
            disk.check(path)
        real_mkdir(path, *rest, **how)

    def replace(source: Any, target: Any, **how: Any) -> None:
        disk.check(target)
        real_replace(source, target, **how)

    def rename(source: Any, target: Any, **how: Any) -> None:
        disk.check(target)
        real_rename(source, target, **how)

    def fsync(descriptor: int) -> None:
        if not disk.has_room(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real_fsync(descriptor)

    def os_open(path: Any, flags: int, *rest: Any, **how: Any) -> int:
        if flags & os.O_CREAT and not os.path.exists(path):
            disk.check(path)
        return real_os_open(path, flags, *rest, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", open)
        patch.setattr(io, "open", open)
        patch.setattr(os, "mkdir", mkdir)
        patch.setattr(os, "replace", replace)
        patch.setattr(os, "rename", rename)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "open", os_open)
        patch.setattr(shutil, "_USE_CP_SENDFILE", False)
        yield disk


def half_written(root: Path) -> list[str]:
    """What is not whole below a folder: files that do not read back, and files under the name of one in the making."""
    import numpy as np
    from PIL import Image

    found = []
    for file in sorted(each for each in root.rglob("*") if each.is_file()):
        try:
            if file.suffix in (".new", ".part") or file.name.startswith(".tmp-"):
                raise ValueError("it is left over")
            if file.suffix == ".json":
                json.loads(file.read_text())
            elif file.suffix in (".npz", ".keras"):
                with np.load(file) as arrays:
                    dict(arrays)
            elif file.suffix == ".png":
                with Image.open(file) as image:
                    image.load()
        except Exception as error:
            found.append(f"{file.relative_to(root)}: {error}")
    return found

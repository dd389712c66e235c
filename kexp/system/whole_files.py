"""Files that are written whole or not at all, whatever ends this process or fills the disk.

To wait until the disk has them would cost more than most are worth: see `kexp.persistence.atomic` for those that must
outlast the machine.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kexp.system.disk import needing

__all__ = ["copy_whole", "whole_file"]


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Gives the name of a file to write, which takes the place of `target` where the block ends without an error."""
    fresh = target.with_name(f"{target.name}.new")
    try:
        yield fresh
        os.replace(fresh, target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def copy_whole(source: Path, target: Path) -> None:
    """Copies a file, or a folder file by file, and its times; makes the folder that it goes into."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_copy, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, target)


def _copy(source: str | Path, target: str | Path) -> None:
    with needing(os.stat(source).st_size), whole_file(Path(target)) as fresh:
        shutil.copy2(source, fresh)

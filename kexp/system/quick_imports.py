"""Imports large libraries without garbage collections, which take a third of the time that TensorFlow's import does."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_collections"]


@contextmanager
def without_collections(freeze: bool = False) -> Iterator[None]:
    """Pauses the garbage collector: an import makes objects by the hundred thousand, and hardly any garbage.

    Args:
        freeze: whether later collections skip all objects that exist at the end; for a process of kexp's own.
    """
    paused = gc.isenabled()  # else by the user, or by another thread that is importing
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        if paused:
            gc.enable()

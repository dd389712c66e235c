"""What all lanes of a process share: the lock for tracing, and settings that no trial may change."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kexp.system.process_settings import put_back

__all__ = ["TRACING_LOCK", "NotALaneError", "settings_guarded"]

TRACING_LOCK = threading.RLock()
"""Held while a function is traced or a model is built, because both change attributes of shared objects."""


class NotALaneError(Exception):
    """A callback does something that only an ordinary training allows. The message is a clause: "changes ..."."""


@contextmanager
def settings_guarded() -> Iterator[None]:
    """Restores the settings of the process that code in the block changes, such as Keras' `floatx`.

    Raises:
        NotALaneError: it changed some.
    """
    with put_back() as changed:
        yield
    if changed:
        raise NotALaneError(f"changes {', '.join(changed)}, which other trials share")

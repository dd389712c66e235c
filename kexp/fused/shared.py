"""What all lanes of a process share: objects that are traced one at a time, and settings that no trial may change."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kexp.system.process_settings import put_back

__all__ = ["TRACING_LOCK", "NotALaneError", "settings_guarded"]

TRACING_LOCK = threading.RLock()  # tracing overwrites attributes of shared objects: one thread at a time


class NotALaneError(Exception):
    """A callback does what only an ordinary training can do. The message is a clause: what it does."""


@contextmanager
def settings_guarded() -> Iterator[None]:
    """Code that changes a setting of the whole process is found out, and the setting put back.

    Raises:
        NotALaneError: it did.
    """
    with put_back() as changed:
        yield
    if changed:
        raise NotALaneError(f"changes {', '.join(changed)}, which other trials share")

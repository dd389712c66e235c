"""What all lanes of a process share: objects that are traced one at a time, and settings that no trial may change."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["TRACING", "NotALaneError", "settings_kept"]

TRACING = threading.RLock()  # tracing overwrites attributes of shared objects: one thread at a time


class NotALaneError(Exception):
    """A callback does what only an ordinary training can do. The message is a clause: what it does."""


@contextmanager
def settings_kept() -> Iterator[None]:
    """Code that changes a setting of the whole process is found out, and the setting put back.

    Raises:
        NotALaneError: it did.
    """
    import keras

    def found() -> dict[str, Any]:
        config = keras.config
        return {
            "Keras' floatx": (config.set_floatx, config.floatx()),
            "Keras' epsilon": (config.set_epsilon, config.epsilon()),
            "Keras' image_data_format": (config.set_image_data_format, config.image_data_format()),
            "Keras' dtype_policy": (config.set_dtype_policy, config.dtype_policy().name),
            "the working directory": (os.chdir, os.getcwd()),
        }

    before = found()
    try:
        yield
    finally:
        after = found()
        changed = [name for name, (_, value) in before.items() if after[name][1] != value]
        for name in changed:
            put_back, value = before[name]
            put_back(value)
    if changed:
        raise NotALaneError(f"changes {', '.join(changed)}, which other trials share")

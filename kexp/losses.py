"""Predicates on losses."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["is_categorical_crossentropy"]

_NAMES = frozenset({"categorical_crossentropy", "CategoricalCrossentropy"})


def is_categorical_crossentropy(loss: Any) -> bool:
    """Returns whether a loss is the categorical crossentropy for one-hot targets.

    Imports nothing: the loss is recognised by its name and module.

    Args:
        loss: a name, a loss function (bare or with arguments bound), a loss object or class, or a Keras config
            `{"class_name": ..., "config": ...}`.

    Returns:
        False for every other loss, including the sparse one and one of the same name outside Keras.
    """
    if isinstance(loss, str):
        return loss in _NAMES
    if isinstance(loss, dict):
        name = loss.get("class_name", loss.get("name"))
        return name in _NAMES or (name == "function" and loss.get("config") in _NAMES)
    if isinstance(loss, functools.partial):
        return is_categorical_crossentropy(loss.func)
    wrapped = getattr(loss, "fn", None)
    if callable(wrapped):  # Keras' wrapper of a loss function
        return is_categorical_crossentropy(wrapped)
    kinds = loss.__mro__ if isinstance(loss, type) else (loss,) if hasattr(loss, "__name__") else type(loss).__mro__
    return any(_is_keras_own(kind) for kind in kinds)


def _is_keras_own(kind: Any) -> bool:
    module = getattr(kind, "__module__", None) or ""
    return getattr(kind, "__name__", None) in _NAMES and module.split(".")[0] in ("keras", "tf_keras", "tensorflow")

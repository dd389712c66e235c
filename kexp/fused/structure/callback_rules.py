"""Which callbacks can watch a lane: those that look on between epochs, and want no TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import CodeType, ModuleType
from typing import Any

__all__ = ["NAN_CALLBACK", "callback_refusal", "needs_model"]

_WITHIN = (
    "on_batch_begin on_batch_end on_train_batch_begin on_train_batch_end on_test_batch_begin on_test_batch_end "
    "on_test_begin on_test_end"
).split()
NAN_CALLBACK = "TerminateOnNaN"  # what it looks for ends a lane in any case
_NEEDS_MODEL = {
    "ModelCheckpoint",
    "BackupAndRestore",
    "TensorBoard",
    "SwapEMAWeights",
    "OrbaxCheckpoint",
}
# Keras' own that use no more of a model than `LaneModel` has; a model is built for any other.
_NEEDS_LITTLE = {"CSVLogger", "EarlyStopping", "History", "LearningRateScheduler", "ReduceLROnPlateau", "RemoteMonitor"}


def callback_refusal(callbacks: dict[str, Any]) -> str:
    """Why one of these callbacks cannot watch a lane, as a sentence; empty where all can.

    Args:
        callbacks: config key -> built callback.
    """
    import keras

    for key, callback in callbacks.items():
        kind = type(callback)
        if kind.__name__ == NAN_CALLBACK:
            continue
        if kind.__name__ in _NEEDS_MODEL:
            return f"callbacks.{key}: {kind.__name__} works on the whole model, which a lane does not have"
        for name in _WITHIN:
            method = getattr(callback, name, None)  # `LambdaCallback` has its functions for methods
            if getattr(method, "__func__", method) is not getattr(keras.callbacks.Callback, name, None):
                return f"callbacks.{key}: {kind.__name__} wants to be called within epochs ({name})"
        if any(_uses_tensorflow(value) for value in [*_methods(kind), *vars(callback).values()]):
            return f"callbacks.{key}: {kind.__name__} works with TensorFlow, and a lane's model is on JAX"
    return ""


def needs_model(callbacks: Sequence[Any]) -> bool:
    """Whether one of these callbacks may use what only a real model has."""
    return any(not _is_keras_own(each) or type(each).__name__ not in _NEEDS_LITTLE for each in callbacks)


def _is_keras_own(callback: Any) -> bool:
    return type(callback).__module__.partition(".")[0] == "keras"


def _methods(kind: type) -> Iterator[Any]:
    for each in kind.__mro__:
        if each.__module__.partition(".")[0] not in ("keras", "builtins"):
            yield from vars(each).values()


def _uses_tensorflow(value: Any) -> bool:
    """Whether a function, or one inside it, names TensorFlow's module."""
    function = getattr(value, "__func__", value)
    code, known = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    names = set[str]()
    waiting = [code] if isinstance(code, CodeType) else []
    while waiting:
        code = waiting.pop()
        names |= {name.partition(".")[0] for name in code.co_names}
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
    found = [sys.modules.get(name) if name == "tensorflow" else known.get(name) for name in names]
    return "tensorflow" in names or any(
        isinstance(each, ModuleType) and each.__name__ == "tensorflow" for each in found
    )

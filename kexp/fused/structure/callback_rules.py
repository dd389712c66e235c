"""Which callbacks can work on a lane: those that are called between epochs only, and do not use TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import CodeType, ModuleType
from typing import Any

__all__ = ["NAN_CALLBACK", "callback_refusal", "need_model"]

_HOOKS_WITHIN_EPOCHS = (
    "on_batch_begin on_batch_end on_train_batch_begin on_train_batch_end on_test_batch_begin on_test_batch_end "
    "on_test_begin on_test_end"
).split()
NAN_CALLBACK = "TerminateOnNaN"  # left out, because a lane ends in any case if its loss is not finite
_NEED_WHOLE_MODEL = {
    "ModelCheckpoint",
    "BackupAndRestore",
    "TensorBoard",
    "SwapEMAWeights",
    "OrbaxCheckpoint",
}
# Keras' callbacks that need no more of a model than `LaneModel` has. For any other, a model is built.
_NEED_LANE_MODEL = {
    "CSVLogger",
    "EarlyStopping",
    "History",
    "LearningRateScheduler",
    "ReduceLROnPlateau",
    "RemoteMonitor",
}


def callback_refusal(callbacks: dict[str, Any]) -> str:
    """Returns why one of these callbacks cannot work on a lane, as a sentence; empty if all can.

    Args:
        callbacks: config key -> built callback.
    """
    import keras

    for key, callback in callbacks.items():
        kind = type(callback)
        if kind.__name__ == NAN_CALLBACK:
            continue
        if kind.__name__ in _NEED_WHOLE_MODEL:
            return f"callbacks.{key}: {kind.__name__} works on the whole model, which a lane does not have"
        for name in _HOOKS_WITHIN_EPOCHS:
            method = getattr(callback, name, None)  # `LambdaCallback` sets functions as attributes
            if getattr(method, "__func__", method) is not getattr(keras.callbacks.Callback, name, None):
                return f"callbacks.{key}: {kind.__name__} wants to be called within epochs ({name})"
        if any(_uses_tensorflow(value) for value in [*_methods(kind), *vars(callback).values()]):
            return f"callbacks.{key}: {kind.__name__} works with TensorFlow, and a lane's model is on JAX"
    return ""


def need_model(callbacks: Sequence[Any]) -> bool:
    """Returns whether one of these callbacks may use a part of the model that `LaneModel` does not have."""
    return any(not _is_keras_own(each) or type(each).__name__ not in _NEED_LANE_MODEL for each in callbacks)


def _is_keras_own(callback: Any) -> bool:
    return type(callback).__module__.partition(".")[0] == "keras"


def _methods(kind: type) -> Iterator[Any]:
    """Yields the attributes of a class and its bases, those of Keras left out."""
    for each in kind.__mro__:
        if each.__module__.partition(".")[0] not in ("keras", "builtins"):
            yield from vars(each).values()


def _uses_tensorflow(value: Any) -> bool:
    """Returns whether a function, or a function defined in it, refers to the module `tensorflow`."""
    function = getattr(value, "__func__", value)
    code, module_globals = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    names = set[str]()
    waiting = [code] if isinstance(code, CodeType) else []
    while waiting:
        code = waiting.pop()
        names |= {name.partition(".")[0] for name in code.co_names}
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
    found = [sys.modules.get(name) if name == "tensorflow" else module_globals.get(name) for name in names]
    return "tensorflow" in names or any(
        isinstance(each, ModuleType) and each.__name__ == "tensorflow" for each in found
    )

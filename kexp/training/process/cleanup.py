"""Cleanup between trainings: frees what Keras and TensorFlow keep of each model in a process that trains several."""

from __future__ import annotations

import functools
import gc
import inspect
import sys
from typing import Any

from kexp.training.process.backend import is_own_process

__all__ = ["forget_model", "freeze_imports"]


@functools.cache
def freeze_imports() -> None:
    """Excludes the imported modules from later garbage collections. To be called once, after all imports.

    Does nothing in a process that is not kexp's own.
    """
    if is_own_process():
        gc.collect()
        gc.freeze()


def forget_model() -> None:
    """Frees the state that Keras and TensorFlow keep of models without references.

    In a process that is not kexp's own, Keras' global state (names in use, the dtype policy) is left unchanged.
    """
    ops = sys.modules.get("tensorflow.python.framework.ops")
    if ops is not None:
        registered: dict[str, Any] = ops.gradient_registry._registry
        for name in [name for name in registered if name.startswith("CustomGradient-")]:
            if _of_all_reduce(registered[name]["type"]):
                del registered[name]
    if is_own_process():
        if "keras" in sys.modules:
            sys.modules["keras"].utils.clear_session(free_memory=False)
        gc.collect()


def _of_all_reduce(gradient: Any) -> bool:
    """Returns whether a gradient belongs to the all-reduce in an optimizer's step.

    TensorFlow registers one in each trace and never removes it; it references all graphs of the trace.
    """
    for name in ("tape_grad_fn", "grad_fn"):
        gradient = inspect.getclosurevars(gradient).nonlocals.get(name)
        if not inspect.isfunction(gradient):
            return False
    return bool(gradient.__module__ == "tensorflow.python.distribute.distribute_lib")

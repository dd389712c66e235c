"""What Keras and TensorFlow keep of each model, in a process that trains one after another."""

from __future__ import annotations

import functools
import gc
import inspect
import sys
from typing import Any

from kexp.training.backend import is_own_process

__all__ = ["forget_model", "settle"]


@functools.cache
def settle() -> None:
    """Once all is imported: what imports leave stays to the end, and need not be gone through after each model.

    In a process that is not kexp's alone, nothing happens.
    """
    if is_own_process():
        gc.collect()
        gc.freeze()


def forget_model() -> None:
    """Frees what is kept of models that nobody holds any more.

    In a process that is not kexp's alone, Keras' own state is left as it is: names that are taken, a dtype policy.
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
    """Whether a gradient is that of the sum over devices which a trial's optimizer takes.

    TensorFlow registers it in each trace for good, and it holds all graphs of the trace.
    """
    for name in ("tape_grad_fn", "grad_fn"):
        gradient = inspect.getclosurevars(gradient).nonlocals.get(name)
        if not inspect.isfunction(gradient):
            return False
    return bool(gradient.__module__ == "tensorflow.python.distribute.distribute_lib")

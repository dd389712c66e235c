"""Finds the group of a reference from its Keras class, its parameters or its result."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from kexp import registry
from kexp.errors import ConfigError
from kexp.registry.reading import group_of
from kexp.signatures import REQUIRED, of_callable

__all__ = ["group_of_reference"]

# Name of the first parameter -> the only group in which Keras or kexp passes such an argument.
_BY_NAME = {"step": "schedule", "shape": "initializer", "spec": "model", "hp": "model", "w": "constraint"}
_TWO = 2


def group_of_reference(name: str) -> str:
    """Finds the group of `module:attribute`.

    A Keras class, or an instance of one, belongs to the group of its base class. A function of two arguments is a
    metric if small changes of the outputs do not change its value, else a loss. A function of one argument is a
    regularizer if it returns a scalar, else an activation. A function without arguments is called, and its result
    decides.

    Args:
        name: the reference.

    Raises:
        ConfigError: the group is ambiguous or unknown; the sentence says how to name it.
        ComponentError: the reference cannot be imported.
    """
    made: Any = registry.find("data", name, "NAME").load()
    group = group_of(made)
    if group is None or (group == "loss" and inspect.isroutine(made)):
        group = _of_function(made)
    if group is None:
        raise ConfigError(f"NAME: the group of {name} is not known; name it, as in kexp plugin check loss {name}")
    return group


def _of_function(made: Any) -> str | None:
    try:
        parameters = of_callable(made).parameters
    except (TypeError, ValueError):
        return None
    names = [each.name for each in parameters]
    bare = [each.name for each in parameters if each.default is REQUIRED]
    known = next((_BY_NAME[each] for each in names[:1] if each in _BY_NAME), None)
    if known:
        return known
    if inspect.isclass(made) or len(bare) > _TWO:
        return None
    if len(bare) == _TWO:
        return "loss" if _is_smooth(made) else "metrics"
    return _of_result(_result(made)) if not bare else _of_one_argument(made)


def _is_smooth(function: Any) -> bool:
    """Returns whether a small change of the outputs changes a function's value, as for a loss; True if it fails."""
    import keras
    import numpy as np

    random = np.random.default_rng(5)
    outputs = random.dirichlet(np.ones(3), size=6).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[np.argmax(random.normal(size=(6, 3)), axis=1)]
    try:
        first, second = (
            np.asarray(keras.ops.convert_to_numpy(function(*map(keras.ops.convert_to_tensor, (targets, each)))))
            for each in (outputs, outputs * np.float32(1.001))
        )
    except Exception:  # the function does not accept these arguments
        return True
    return not np.array_equal(first, second)


def _of_one_argument(function: Any) -> str | None:
    import keras
    import numpy as np

    table = np.random.default_rng(5).normal(size=(6, 5)).astype(np.float32)
    made = _result(functools.partial(function, keras.ops.convert_to_tensor(table)))
    shape = getattr(made, "shape", None)
    if shape is None:
        return None
    return "regularizer" if tuple(shape) == () else "activation" if tuple(shape) == table.shape else None


def _of_result(made: Any) -> str | None:
    from kexp.data import as_data
    from kexp.errors import DataError

    group = group_of(made)
    if group is not None or made is None:
        return group
    try:
        as_data(made)
    except DataError:
        return None
    return "data"


def _result(function: Any) -> Any:
    """Calls a function and returns the result; None if it fails, which the check of its group reports."""
    try:
        return function()
    except Exception:
        return None

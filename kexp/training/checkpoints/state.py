"""Captures and restores the state of a training between epochs: weights, optimizer, random generators, callbacks."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.training.checkpoints.packing import NotPlainError, pack, unpack

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]
    Callbacks = Sequence[keras.callbacks.Callback]

__all__ = [
    "build_optimizer",
    "capture",
    "capture_callbacks",
    "given_code",
    "mismatch",
    "pack_array",
    "restore",
    "restore_callbacks",
    "state_variables",
    "unpack_array",
]

_CODE = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    functools.partial,
    type,
)
_KERAS_OWN = ("model", "_model", "params", "validation_data")


def capture(
    model: keras.Model, callbacks: Callbacks, given: Sequence[Mapping[str, Any]], arrays: Arrays
) -> tuple[dict[str, Any], list[str]]:
    """Captures the state of a training between two epochs.

    Args:
        model: compiled, its optimizer built.
        callbacks: their plain attributes are saved. A callback with `get_state()` and `set_state(state)` is saved by
            these instead.
        given: the result of `given_code` before the first epoch.
        arrays: receives the arrays.

    Returns:
        The state as a JSON value, and one sentence for each value that could not be saved.
    """
    kept, lost = capture_callbacks(callbacks, given, (model, model.optimizer, *model._flatten_layers()), arrays)
    state = {
        "variables": [_variable(variable, arrays) for variable in state_variables(model)],
        "random": pack(_random_state(), arrays),
        "callbacks": kept,
    }
    return state, lost


def capture_callbacks(
    callbacks: Callbacks, given: Sequence[Mapping[str, Any]], parts: Iterable[Any], arrays: Arrays
) -> tuple[list[dict[str, Any]], list[str]]:
    """Captures the state of callbacks between two epochs.

    Args:
        callbacks: see `capture`.
        given: see `capture`.
        parts: the model, its optimizer and its layers; an attribute that refers to one of them is not state.
        arrays: see `capture`.

    Returns:
        See `capture`.
    """
    kept, lost = [], []
    parts = tuple(parts)
    for callback, code in zip(callbacks, given, strict=True):
        attributes, missing = _callback_state(callback, code, parts, arrays)
        kept.append({"class": type(callback).__qualname__, "attributes": attributes})
        lost += missing
    return kept, lost


def given_code(callbacks: Callbacks) -> list[dict[str, Any]]:
    """Returns, for each callback, its attributes that are functions, classes or modules: arguments, not state."""
    return [{key: value for key, value in vars(each).items() if isinstance(value, _CODE)} for each in callbacks]


def mismatch(state: Mapping[str, Any], variables: Sequence[Any], callbacks: Callbacks) -> str:
    """Compares a captured state with a model and callbacks.

    Args:
        state: the result of `capture`.
        variables: the result of `state_variables`.
        callbacks: the callbacks to restore.

    Returns:
        Why the state cannot be restored; empty if it can.
    """
    if len(state["variables"]) != len(variables):
        return f"it holds {len(state['variables'])} variables, the model and its optimizer have {len(variables)}"
    for kept, variable in zip(state["variables"], variables, strict=True):
        have = [list(variable.shape), str(variable.dtype)]
        if [kept["shape"], kept["dtype"]] != have:
            return f"it holds {kept['dtype']}{kept['shape']} for {variable.path}, which is {have[1]}{have[0]}"
    classes = [type(callback).__qualname__ for callback in callbacks]
    if [kept["class"] for kept in state["callbacks"]] != classes:
        return f"its callbacks are {[kept['class'] for kept in state['callbacks']]}, here they are {classes}"
    return ""


def restore(
    state: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    model: keras.Model,
    callbacks: Callbacks,
) -> None:
    """Restores a captured state that fits; see `mismatch`. The random generators come last.

    Args:
        state: the first result of `capture`.
        arrays: the arrays that it refers to.
        model: compiled, its optimizer built.
        callbacks: of the same classes, in the same order.
    """
    for kept, variable in zip(state["variables"], state_variables(model), strict=True):
        variable.assign(unpack_array(kept, arrays))
    restore_callbacks(state["callbacks"], arrays, callbacks)
    _restore_random(unpack(state["random"], arrays))


def restore_callbacks(
    state: Sequence[Mapping[str, Any]], arrays: Mapping[str, NDArray[Any]], callbacks: Callbacks
) -> None:
    """Restores the state that `capture_callbacks` captured; the arguments are as of `restore`."""
    for kept, callback in zip(state, callbacks, strict=True):
        _restore_callback(callback, kept["attributes"], arrays)


def build_optimizer(model: keras.Model) -> None:
    """Creates the optimizer's slot variables; on TensorFlow the first step would create them."""
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def state_variables(model: keras.Model) -> list[Any]:
    """Returns a model's weights, its layers' other state and seed generators, and its optimizer's variables."""
    optimizer = model.optimizer
    return [*model.variables, *(optimizer.variables if optimizer is not None else ())]


def pack_array(array: NDArray[Any], dtype: str, arrays: Arrays) -> dict[str, Any]:
    """Converts a variable's value to JSON; its numbers go into `arrays`.

    Args:
        array: the value.
        dtype: the variable's dtype, as Keras names it.
        arrays: receives the numbers.

    Returns:
        The JSON value.
    """
    # Dtypes that NumPy itself does not have, such as bfloat16, are saved as their bits.
    bits = array.dtype.kind == "V" or array.dtype.type.__module__ != "numpy"
    key = str(len(arrays))
    arrays[key] = array.view(f"u{array.dtype.itemsize}") if bits else array
    return {"array": key, "shape": list(array.shape), "dtype": dtype, "bits": bits}


def unpack_array(kept: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Restores the value that `pack_array` was given."""
    import numpy as np

    array = arrays[kept["array"]]
    return array.view(np.dtype(kept["dtype"])) if kept["bits"] else array


def _variable(variable: Any, arrays: Arrays) -> dict[str, Any]:
    import keras
    import numpy as np

    return pack_array(np.array(keras.ops.convert_to_numpy(variable)), str(variable.dtype), arrays)


def _callback_state(
    callback: Any, given: Mapping[str, Any], parts: Sequence[Any], arrays: Arrays
) -> tuple[dict[str, Any], list[str]]:
    name, lost = type(callback).__qualname__, []
    if _has_state_methods(callback):
        try:
            return {"get_state": pack(callback.get_state(), arrays)}, []
        except NotPlainError as found:
            return {}, [f"{name}.get_state() returns {found}, which a checkpoint cannot save"]
    kept: dict[str, Any] = {}
    for key, value in vars(callback).items():
        if key in _KERAS_OWN or (key in given and given[key] is value) or _is_among(parts, value):
            continue
        try:
            kept[key] = {"variable": pack(value.value, arrays)} if _is_variable(value) else pack(value, arrays)
        except NotPlainError as found:
            lost.append(f"{name}.{key} holds {found}, which a checkpoint cannot save")
    return kept, lost


def _restore_callback(callback: Any, attributes: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    for key, packed in attributes.items():
        if key == "get_state" and _has_state_methods(callback):
            callback.set_state(unpack(packed, arrays))
        elif isinstance(packed, dict) and "variable" in packed:
            vars(callback)[key].assign(unpack(packed["variable"], arrays))
        else:
            vars(callback)[key] = unpack(packed, arrays)


def _has_state_methods(callback: Any) -> bool:
    return callable(getattr(callback, "get_state", None)) and callable(getattr(callback, "set_state", None))


def _is_among(parts: Sequence[Any], value: Any) -> bool:
    return any(value is part for part in parts)


def _is_variable(value: Any) -> bool:
    import keras

    return isinstance(value, keras.Variable)


def _random_state() -> dict[str, Any]:
    """Returns the state of the generators that a layer, a callback or a feed may draw from."""
    import random

    import keras
    import numpy as np

    state: dict[str, Any] = {"python": random.getstate(), "numpy": np.random.get_state(legacy=False)}
    generator = _keras_generator()
    state["keras"] = None if generator is None else np.array(keras.ops.convert_to_numpy(generator.state))
    if keras.config.backend() == "torch":
        import torch

        state["torch"] = torch.get_rng_state().numpy()
        state["cuda"] = [each.numpy() for each in torch.cuda.get_rng_state_all()]
    return state


def _restore_random(state: Mapping[str, Any]) -> None:
    import random

    import keras
    import numpy as np

    if state["keras"] is not None:
        from keras.src.random.seed_generator import global_seed_generator

        global_seed_generator().state.assign(state["keras"])
    if keras.config.backend() == "torch":
        import torch

        torch.set_rng_state(torch.from_numpy(state["torch"]))
        torch.cuda.set_rng_state_all([torch.from_numpy(each) for each in state["cuda"]])
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])


def _keras_generator() -> Any:
    """Returns the generator that `keras.random` uses without a seed; None before its first use."""
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

    return global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)

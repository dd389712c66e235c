"""Counts the multiplications of a model, from which its training time on a machine is estimated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kexp.data import DataSpec

__all__ = ["multiplications"]


def multiplications(model: Any, rows: DataSpec) -> dict[str, float]:
    """Counts the multiplications of a model's forward pass for one row.

    They are counted in the traced function (its jaxpr), so layers within layers and models of any class are included.

    Args:
        model: built, on JAX.
        rows: the shape and dtype of the data's rows.

    Returns:
        "dense", "convolution" or "recurrent" -> multiplications; a kind that the model does not have is missing.
    """
    import jax
    import keras
    import numpy as np

    def forward(trained: Any, fixed: Any, row: Any) -> Any:
        return model.stateless_call(trained, fixed, row)

    variables = [[each.value for each in part] for part in (model.trainable_variables, model.non_trainable_variables)]
    row = np.zeros((1, *rows.feature_shape), keras.backend.standardize_dtype(rows.feature_dtype))
    found: dict[str, float] = {}
    _count(jax.make_jaxpr(forward)(*variables, row).jaxpr, 1.0, "dense", found)
    return found


def _count(jaxpr: Any, times: float, kind: str, found: dict[str, float]) -> None:
    """Adds the multiplications of a traced function to `found`.

    Args:
        jaxpr: the function.
        times: how often it is called.
        kind: the kind of its matrix products; those within a loop are recurrent.
        found: kind -> multiplications.
    """
    for step in jaxpr.eqns:
        name, parameters = step.primitive.name, step.params
        if name == "dot_general":
            left = step.invars[0].aval.shape
            inner = math.prod(left[axis] for axis in parameters["dimension_numbers"][0][0])
            found[kind] = found.get(kind, 0.0) + times * inner * step.outvars[0].aval.size
        elif name == "conv_general_dilated":
            kernel = step.invars[1].aval
            channels = kernel.shape[parameters["dimension_numbers"].rhs_spec[0]]
            made = times * kernel.size / channels * step.outvars[0].aval.size
            found["convolution"] = found.get("convolution", 0.0) + made
        is_loop = name in ("scan", "while")
        for inside in _functions_in(parameters.values()):
            _count(inside, times * parameters.get("length", 1), "recurrent" if is_loop else kind, found)


def _functions_in(parameters: Iterable[Any]) -> Iterator[Any]:
    """Yields the traced functions among an operation's parameters."""
    for each in parameters:
        function = getattr(each, "jaxpr", each)
        if hasattr(function, "eqns"):
            yield function
        elif isinstance(each, (list, tuple)):
            yield from _functions_in(each)

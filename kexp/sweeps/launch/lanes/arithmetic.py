"""How much a model multiplies: what its training takes on any machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kexp.data import DataSpec

__all__ = ["multiplications"]


def multiplications(model: Any, rows: DataSpec) -> dict[str, float]:
    """The multiplications of a model's forward pass for one row, by kind: dense, convolution, recurrent.

    They are counted in what JAX traces, so that a model of any class counts, and layers inside layers.

    Args:
        model: built, on JAX.
        rows: what the data's rows are.
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
    """Adds what a traced function multiplies; a loop over steps is recurrent."""
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
        loops = name in ("scan", "while")
        for inside in _functions_in(parameters.values()):
            _count(inside, times * parameters.get("length", 1), "recurrent" if loops else kind, found)


def _functions_in(parameters: Iterable[Any]) -> Iterator[Any]:
    for each in parameters:
        function = getattr(each, "jaxpr", each)
        if hasattr(function, "eqns"):
            yield function
        elif isinstance(each, (list, tuple)):
            yield from _functions_in(each)

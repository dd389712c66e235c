"""A gated layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kexp
from kexp.rules import Count

if TYPE_CHECKING:
    from kexp_example.parts.gated_dense import GatedDense

__all__ = ["gated_dense"]


@kexp.declare(classes=["kexp_example.parts.gated_dense:GatedDense"])
def gated_dense(
    units: Count,
    activation: Any = "sigmoid",
    kernel_initializer: Any = "glorot_uniform",
    kernel_regularizer: Any = None,
) -> GatedDense:
    """A dense layer times a gate: (x W + b) * activation(x V + c).

    Args:
        units: width of the output; >= 1.
        activation: the gate's, by name or node.
        kernel_initializer: initial W and V, by name or node.
        kernel_regularizer: penalty on W and V, by name or node.

    Source:
        Dauphin, Fan, Auli and Grangier (2017), Language Modeling with Gated Convolutional Networks, equation 1.
    """
    from kexp_example.parts.gated_dense import GatedDense

    return GatedDense(
        units, activation=activation, kernel_initializer=kernel_initializer, kernel_regularizer=kernel_regularizer
    )

"""Which component of a trial JAX cannot trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kexp.fused.blueprint import Blueprint

__all__ = ["why_impure"]


def why_impure(blueprint: Blueprint, batch: tuple[Any, ...], error: Exception) -> str:
    """Which component is not pure, by trying the loss and each metric and layer alone."""
    import jax
    import keras

    experiment, model = blueprint.prepared.experiment, blueprint.model
    reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"

    def fails(function: Callable[..., Any], *arguments: Any) -> bool:
        def run(*values: Any) -> Any:
            with keras.StatelessScope():
                return function(*values)

        try:
            jax.eval_shape(run, *arguments)
        except Exception:
            return True
        return False

    x, y = batch[:2]
    value = x
    for position, layer in enumerate(model.layers):
        if fails(layer, value):
            return f"model: layer {position} ({type(layer).__name__}) is not pure under JAX ({reason})"
        value = jax.eval_shape(lambda v, layer=layer: _stateless(layer, v), value)
    if experiment.loss is not None and fails(model._compile_loss, y, value):
        return f"loss: {experiment.loss.name} is not pure under JAX ({reason})"
    for key, node in experiment.metrics.items():
        if fails(lambda a, b: model.compute_metrics(None, a, b), y, value):
            return f"metrics.{key}: {node.name} is not pure under JAX ({reason})"
    return f"optimizer: {experiment.optimizer.name} or another component is not pure under JAX ({reason})"


def _stateless(layer: Any, value: Any) -> Any:
    import keras

    with keras.StatelessScope():
        return layer(value)

"""Which component of a trial JAX cannot trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kexp.build import build_metrics
from kexp.errors import first_line

if TYPE_CHECKING:
    from kexp.fused.blueprint import Blueprint

__all__ = ["why_impure"]


def why_impure(blueprint: Blueprint, batch: tuple[Any, ...], error: Exception) -> str:
    """Which component is not pure, by tracing each layer, regularizer, loss and metric alone, and then the optimizer.

    Args:
        blueprint: the model, built as far as it could be.
        batch: features and targets.
        error: what tracing the whole raised.
    """
    from keras.src.trainers.compile_utils import CompileMetrics

    experiment, model = blueprint.prepared.experiment, blueprint.model
    x, y = (_symbol(each) for each in batch[:2])
    value = x
    for position, layer in enumerate(model.layers):
        value, why = _traced(layer, value)
        if why is not None:
            return _sentence(f"model: layer {position} ({type(layer).__name__})", why)
        why = _penalised(layer)
        if why is not None:
            return _sentence(f"model: a regularizer of layer {position} ({type(layer).__name__})", why)
    if experiment.loss is not None:
        _, why = _traced(model._compile_loss, y, value)
        if why is not None:
            return _sentence(f"loss: {experiment.loss.name}", why)
    for key, node in experiment.metrics.items():
        measured = CompileMetrics(build_metrics({key: node}), None)
        _, why = _traced(measured.update_state, y, value)
        if why is not None:
            return _sentence(f"metrics.{key}: {node.name}", why)
    gradients = [_symbol(variable.value) for variable in model.trainable_variables]
    if model.optimizer.built:
        _, why = _traced(lambda *each: model.optimizer.apply(list(each), model.trainable_variables), *gradients)
        if why is not None:
            return _sentence(f"optimizer: {experiment.optimizer.name}", why)
    return _sentence("a component", error)


def _sentence(component: str, why: Exception) -> str:
    return f"{component} is not pure under JAX ({type(why).__name__}: {first_line(why)})"


def _symbol(value: Any) -> Any:
    import keras

    return keras.KerasTensor(value.shape, str(value.dtype))


def _traced(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """What a function gives for symbols, and what it raises."""
    from keras.src.backend import compute_output_spec

    try:
        return compute_output_spec(function, *arguments), None
    except Exception as error:
        return None, error


def _penalised(layer: Any) -> Exception | None:
    """What a layer's regularizers raise."""
    import keras

    variables = layer.trainable_variables

    def run(*values: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return sum(layer.losses)

    return _traced(run, *[_symbol(variable.value) for variable in variables])[1]

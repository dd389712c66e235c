"""Finds the part of an experiment that JAX cannot compile, by tracing it before training."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kexp.build import build_metrics
from kexp.errors import ConfigError
from kexp.experiment.own_files import own_modules
from kexp.experiment.prepared import Prepared, feeds
from kexp.registry import OURSELVES
from kexp.registry.own_state import untouched
from kexp.schema import Experiment
from kexp.system.user_errors import describe_error

if TYPE_CHECKING:
    import keras

__all__ = ["check_traced", "why_untraceable"]


def check_traced(prepared: Prepared, model: keras.Model) -> None:
    """Traces a training step, if JAX will compile code of the user or of another package. Builds the model, as `fit`.

    Args:
        prepared: the experiment.
        model: its compiled model.

    Raises:
        ConfigError: JAX cannot compile the step; the message names the component and its line.
    """
    experiment = prepared.experiment
    own = own_modules(experiment)
    installed = any(node.component.distribution not in (OURSELVES, "reference") for node in experiment.nodes())
    plainly = experiment.trainer.jit_compile is False or experiment.trainer.run_eagerly is True
    if experiment.backend != "jax" or plainly or not (own or installed):
        return
    _check_step(model)
    import jax

    feed = feeds(prepared, kind="tfdata")[0]  # reads only the rows of the batch, if the data is not in memory
    batch = feed.batch(feed.order(0)[: feed.batch_size])
    with untouched(own), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model._symbolic_build(data_batch=batch)
            if not model.optimizer.built:
                model.optimizer.build(model.trainable_variables)
            kept = [(variable, variable._value) for variable in model.variables]
            try:
                jax.eval_shape(model.train_step, _state(model), batch)
            finally:
                for variable, value in kept:  # a user's step may have assigned tracers to them
                    variable._value = value
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(why_untraceable(experiment, model, batch, error)) from error


def _check_step(model: keras.Model) -> None:
    """Refuses a training step that is written for another backend."""
    try:
        inspect.signature(model.train_step).bind("state", "data")
    except TypeError:
        raise ConfigError(
            f"model: {type(model).__name__}.train_step takes the data alone, as on TensorFlow and PyTorch; JAX needs "
            "one of state and data; use backend=tensorflow"
        ) from None


def why_untraceable(experiment: Experiment, model: keras.Model, batch: tuple[Any, ...], error: Exception) -> str:
    """Finds the component that JAX cannot compile, by tracing each layer, regularizer, loss, metric and the optimizer.

    Args:
        experiment: the experiment, whose loss is chosen.
        model: its model, built as far as possible.
        batch: features and targets, as arrays.
        error: the exception of tracing the whole step.

    Returns:
        A message that names the component, or the model if each component can be traced separately.
    """
    for component, why in _tries(experiment, model, *(_symbolic_tensor(each) for each in batch[:2])):
        if why is not None:
            return _sentence(component, why)
    return _sentence(f"model: {experiment.model.name}", error)


def _tries(experiment: Experiment, model: keras.Model, x: Any, y: Any) -> Iterator[tuple[str, Exception | None]]:
    """Yields each component as (config key and name, the exception of tracing it separately or None)."""
    import keras
    from keras.src.trainers.compile_utils import CompileMetrics

    value = x
    if isinstance(model, keras.Sequential):
        for position, layer in enumerate(model.layers):
            # A ParametricActivation computes its output shape without a call, so its `call` is traced.
            value, why = _traced(layer.call if type(layer).__name__ == "ParametricActivation" else layer, value)
            yield _layer_label(experiment, layer, position), why
    else:
        value, why = _traced(model, x)
        yield f"model: {experiment.model.name}", why
    for position, layer in enumerate(model.layers):
        yield f"model: a regularizer of layer {position} ({type(layer).__name__})", _penalised(layer)
    if experiment.loss is not None:
        yield f"loss: {experiment.loss.name}", _traced(model._compile_loss, y, value)[1]
    for key, node in experiment.metrics.items():
        measured = CompileMetrics(build_metrics({key: node}), None)
        yield f"metrics.{key}: {node.name}", _traced(measured.update_state, y, value)[1]
    schedule, optimizer = experiment.optimizer.common.get("schedule"), model.optimizer
    if schedule is not None:
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # mixed precision wraps it
        yield (
            f"schedule: {schedule.name}",
            _traced(optimizer._learning_rate, _symbolic_tensor(optimizer.iterations.value))[1],
        )
    gradients = [_symbolic_tensor(variable.value) for variable in model.trainable_variables]
    if model.optimizer.built:
        _, why = _traced(lambda *each: model.optimizer.apply(list(each), model.trainable_variables), *gradients)
        yield f"optimizer: {experiment.optimizer.name}", why


def _sentence(component: str, why: Exception) -> str:
    return f"{component} cannot be compiled by JAX: {describe_error(why)}"


def _layer_label(experiment: Experiment, layer: Any, position: int) -> str:
    if type(layer).__name__ == "ParametricActivation" and layer.function == experiment.activation.name:
        return f"activation: {layer.function}"
    return f"model: layer {position} ({type(layer).__name__})"


def _state(model: keras.Model) -> tuple[list[Any], ...]:
    """Returns the state that Keras passes to a training step on JAX."""
    parts = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    return tuple([variable.value for variable in part] for part in parts)


def _symbolic_tensor(value: Any) -> Any:
    import keras

    return keras.KerasTensor(value.shape, str(value.dtype))


def _traced(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """Traces a function on symbolic arguments. Returns its output and None, or None and its exception."""
    from keras.src.backend import compute_output_spec

    try:
        return compute_output_spec(function, *arguments), None
    except Exception as error:
        return None, error


def _penalised(layer: Any) -> Exception | None:
    """Returns the exception of tracing a layer's regularizers; None if there is none."""
    import keras

    variables = layer.trainable_variables

    def run(*values: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return sum(layer.losses)

    return _traced(run, *[_symbolic_tensor(variable.value) for variable in variables])[1]

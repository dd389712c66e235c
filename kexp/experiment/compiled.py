"""Builds an experiment's model, adapts it to the training rows, and compiles it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kexp import training
from kexp.build import build_loss, build_metrics, build_model, build_optimizer
from kexp.errors import ConfigError
from kexp.experiment.earlier import restore_optimizer
from kexp.experiment.embedding_check import check_embedding
from kexp.experiment.prepared import Prepared, feeds
from kexp.registry import OURSELVES
from kexp.schema import Experiment

if TYPE_CHECKING:
    import keras

    from kexp.data import Part

__all__ = ["build_compiled", "compile_model", "training_plan"]


def build_compiled(prepared: Prepared) -> keras.Model:
    """Builds, adapts and compiles the model. The seed decides its initial weights.

    Raises:
        ConfigError: an embedding is too small for the data, or the batches do not suit the model's Input.
    """
    from kexp.model import adapt, follow_weights
    from kexp.training.process.initial_values import initial_values

    experiment, train = prepared.experiment, feeds(prepared)[0]
    trainer = experiment.trainer
    training.set_precision("mixed_float16" if trainer.mixed_precision else "float32")
    with initial_values(experiment.seed):
        model = build_model(experiment.model, prepared.spec)
        check_embedding(prepared, model)
        _check_batches(prepared, model)
        if prepared.earlier is None:
            adapt(model, lambda: _feature_batches(prepared.splits.train), pooled=prepared.spec.image_shape is not None)
        else:  # the layers keep what they learned from the earlier run's data
            follow_weights(model)
        compile_model(experiment, model, train.steps_per_epoch, weighted=prepared.is_weighted)
    if prepared.earlier is not None:
        restore_optimizer(experiment, prepared.earlier, model)
    return model


def _check_batches(prepared: Prepared, model: keras.Model) -> None:
    """Checks that every batch has the size that the model's Input fixes, if it fixes one.

    Raises:
        ConfigError: `trainer.batch_size` differs, or a part ends with a smaller batch.
    """
    inputs = getattr(model, "inputs", None) or ()
    sizes = [each.shape[0] for each in inputs if each.shape and each.shape[0] is not None]
    if not sizes:
        return
    size, batch_size = sizes[0], prepared.batch_size
    if batch_size != size:
        raise ConfigError.at("trainer.batch_size", f"must be {size}, the rows that the model's Input takes", batch_size)
    for name, part in prepared.splits.parts.items():
        if len(part) % size:
            key = "data.test_split" if name == "test" else "trainer.validation_split"
            rule = f"must leave {name} rows in batches of {size} alone, as the model's Input takes them"
            raise ConfigError(f"{key}: {rule}, got {len(part)} rows")


def compile_model(experiment: Experiment, model: keras.Model, steps_per_epoch: int, *, weighted: bool = False) -> None:
    """Compiles a model with the config's optimizer, loss and metrics.

    Args:
        experiment: the experiment, whose loss is chosen.
        model: a model that was built, or loaded from a file.
        steps_per_epoch: training steps of an epoch; a schedule spans the steps of the whole training.
        weighted: whether rows have sample weights; each metric is then also measured with them.
    """
    trainer = experiment.trainer
    metrics, weighted_metrics = experiment.compiled_metrics(rows_weighted=weighted)
    assert experiment.loss is not None
    training.compile_model(
        model,
        training_plan(experiment),
        steps_per_epoch,
        optimizer=_own_optimizer(experiment, model)
        or build_optimizer(experiment.optimizer, steps_per_epoch * trainer.epochs),
        loss=build_loss(experiment.loss),
        metrics=build_metrics(metrics),
        weighted_metrics=build_metrics(weighted_metrics) or None,
    )


def _own_optimizer(experiment: Experiment, model: keras.Model) -> keras.optimizers.Optimizer | None:
    """Returns a new copy of the optimizer that the model's own code compiled with; None if the config decides."""
    own = getattr(model, "optimizer", None)
    if own is None or not experiment.optimizer_of_model:
        return None
    own = getattr(own, "inner_optimizer", own)  # mixed precision wraps the optimizer
    return type(own).from_config(own.get_config())


def training_plan(experiment: Experiment) -> training.Plan:
    """Returns the number of epochs and the compile settings of the trainer's config."""
    trainer = experiment.trainer
    return training.Plan(
        epochs=trainer.epochs,
        initial_epoch=trainer.initial_epoch,
        validation_freq=trainer.validation_freq,
        validation_steps=trainer.validation_steps,
        steps_per_execution=1 if _acts_on_steps(experiment) else trainer.steps_per_execution,
        jit_compile=trainer.jit_compile,
        run_eagerly=trainer.run_eagerly is True,
    )


def _acts_on_steps(experiment: Experiment) -> bool:
    """Returns whether a callback of the user's acts on each step, so that `steps_per_execution=auto` must be 1."""
    import keras

    if experiment.trainer.steps_per_execution != "auto":
        return False
    own = [each for each in experiment.callbacks.values() if each.component.distribution != OURSELVES]
    plain = keras.callbacks.Callback
    hooks = [f"on_{kind}batch_{when}" for kind in ("", "train_") for when in ("begin", "end")]
    made = [each.component.load() for each in own]
    return any(
        getattr(each, hook, None) not in (None, getattr(plain, hook))
        for each in made
        for hook in hooks
        if isinstance(each, type)
    )


def _feature_batches(part: Part) -> Iterator[Any]:
    """Yields the features of the rows, in chunks."""
    from kexp.data.source import chunks

    return (part.batch(rows)[0] for rows in chunks(len(part)))

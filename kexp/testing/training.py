"""Trains an epoch of a staged experiment, with either feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kexp.schema import Experiment

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from kexp.data.feeding.feed import FeedKind

__all__ = ["Trained", "train"]

_PROBE_ROWS = 8


@dataclass(frozen=True)
class Trained:
    """The results of a training.

    Attributes:
        model: the trained model, compiled.
        histories: feed -> metric -> its value after each epoch.
        probe: some of the training rows, shape (rows, ...).
    """

    model: keras.Model
    histories: dict[str, dict[str, list[float]]]
    probe: NDArray[Any]


def train(experiment: Experiment, kinds: Sequence[FeedKind] = ("numpy",)) -> Trained:
    """Builds and trains an experiment as a run does, without files and tracking.

    Args:
        experiment: a staged experiment.
        kinds: the feeds, `numpy` and `tfdata`. The same model is reset for each, so that it compiles only once.

    Returns:
        The results.
    """
    import numpy as np

    from kexp import training
    from kexp.build import build_callbacks
    from kexp.experiment import build_compiled, feeds, prepare
    from kexp.training.checkpoints.state import state_variables

    training.prepare_backend(experiment.backend)
    import keras

    prepared = prepare(experiment)
    model = build_compiled(prepared)
    model.optimizer.build(model.trainable_variables)
    beginning = [np.array(keras.ops.convert_to_numpy(variable)) for variable in state_variables(model)]
    histories: dict[str, dict[str, list[float]]] = {}
    for kind in kinds:
        for variable, values in zip(state_variables(model), beginning, strict=False):
            variable.assign(values)
        plan = training.Plan(epochs=experiment.trainer.epochs, steps_per_execution=1, jit_compile=False)
        fed, validation, _ = feeds(prepared, kind)
        callbacks = build_callbacks(experiment.callbacks)
        histories[kind] = training.fit(model, fed, validation, plan, callbacks=callbacks).columns()
    rows = np.arange(min(_PROBE_ROWS, len(prepared.splits.train)), dtype=np.intp)
    return Trained(model, histories, prepared.splits.train.batch(rows)[0])

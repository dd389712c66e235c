"""Trains an epoch of a staged experiment, with either feed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kexp.schema import Experiment

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

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


def train(experiment: Experiment, kinds: Sequence[str] = ("numpy",)) -> Trained:
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

    training.prepare_backend(experiment.backend)
    prepared = prepare(experiment)
    model = build_compiled(prepared)
    model.optimizer.build(model.trainable_variables)
    beginning = [np.array(values) for values in _values(_state(model))]
    histories = {}
    for kind in kinds:
        for variable, values in zip(_state(model), beginning, strict=False):
            variable.assign(values)
        plan = training.Plan(epochs=experiment.trainer.epochs, steps_per_execution=1, jit_compile=False)
        fed, validation, _ = feeds(replace(prepared, experiment=_feeding(experiment, kind)))
        callbacks = build_callbacks(experiment.callbacks)
        histories[kind] = training.fit(model, fed, validation, plan, callbacks=callbacks).columns()
    rows = np.arange(min(_PROBE_ROWS, len(prepared.splits.train)), dtype=np.intp)
    return Trained(model, histories, prepared.splits.train.batch(rows)[0])


def _feeding(experiment: Experiment, kind: str) -> Experiment:
    return replace(experiment, data=replace(experiment.data, common={**experiment.data.common, "feed": kind}))


def _state(model: keras.Model) -> list[Any]:
    """Returns the variables that training changes, except the metrics', which Keras resets at each epoch."""
    return [*model.variables, *model.optimizer.variables]


def _values(variables: Iterable[Any]) -> list[Any]:
    import keras

    return [keras.ops.convert_to_numpy(variable) for variable in variables]

"""Engines that train and test a run's model: Keras' own loops, or an engine of an installed package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from kexp import registry, training
from kexp.build import build_callbacks
from kexp.experiment.compiled import training_plan
from kexp.experiment.prepared import Prepared, feeds
from kexp.training import History

if TYPE_CHECKING:
    import keras

__all__ = ["Engine", "Trained", "engine_of"]


@dataclass(frozen=True)
class Trained:
    """The results of an engine, in addition to the trained model.

    Attributes:
        history: metrics by epoch.
        tested: metrics on the test rows, without the prefix `test_`; empty if there are no test rows.
        tags: further tags of the run that describe the training.
    """

    history: History
    tested: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """Trains a compiled model in place, and tests it."""

    def __call__(
        self,
        prepared: Prepared,
        model: keras.Model,
        *,
        listeners: Sequence[Any] = (),
        checkpoint: training.Checkpointing | None = None,
    ) -> Trained:
        """Trains and tests the model. See `training.fit` for the listeners, the checkpoint and the errors."""


def engine_of(name: str) -> Engine:
    """Returns the engine that `trainer.engine` names.

    Raises:
        ConfigError: no installed package has an engine of that name, or it does not import.
    """
    engine: Engine = _fit if name == "fit" else registry.find_part("engine", name).load()
    return engine


def _fit(
    prepared: Prepared,
    model: keras.Model,
    *,
    listeners: Sequence[Any] = (),
    checkpoint: training.Checkpointing | None = None,
) -> Trained:
    """Trains with Keras' `fit` and tests with its `evaluate`."""
    experiment = prepared.experiment
    train, validation, test = feeds(prepared)
    history = training.fit(
        model,
        train,
        validation,
        training_plan(experiment),
        callbacks=build_callbacks(experiment.callbacks),
        listeners=listeners,
        checkpoint=checkpoint,
    )
    return Trained(history, {} if test is None else training.evaluate(model, test))

"""How a run's model is trained and tested: Keras' own loops, or another engine that an installed package brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

from kexp import training
from kexp.build import build_callbacks
from kexp.errors import ConfigError
from kexp.experiment.compiled import training_plan
from kexp.experiment.prepared import Prepared, feeds
from kexp.training import History

if TYPE_CHECKING:
    import keras

__all__ = ["Engine", "Trained", "engine_of"]

_GROUP = "kexp.engine"  # entry points: the engines stand above this layer


@dataclass(frozen=True)
class Trained:
    """What an engine leaves besides the model.

    Attributes:
        history: metrics by epoch.
        tested: the metrics on the test rows, without the prefix `test_`; empty where there are none.
        tags: what else to say of how it was trained, as tags of the run.
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
        """See `training.fit` for the listeners and the checkpoint, and for what is raised."""


def engine_of(name: str) -> Engine:
    """The engine that `trainer.engine` names.

    Raises:
        ConfigError: no installed package has it.
    """
    if name == "fit":
        return _fit
    for entry in entry_points(group=_GROUP, name=name):
        engine: Engine = entry.load()
        return engine
    raise ConfigError.at("trainer.engine", "must be an engine of an installed package", name)


def _fit(
    prepared: Prepared,
    model: keras.Model,
    *,
    listeners: Sequence[Any] = (),
    checkpoint: training.Checkpointing | None = None,
) -> Trained:
    """Keras' fit and evaluate."""
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

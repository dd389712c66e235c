"""A prepared experiment, and its feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kexp import traits
from kexp.build import build_activation
from kexp.experiment.earlier import Earlier
from kexp.registry import OURSELVES
from kexp.schema import Experiment, Taken, component_node

if TYPE_CHECKING:
    from kexp.data import DataSpec, Feed, FeedKind, Splits
    from kexp.model import ModelSpec

__all__ = [
    "Prepared",
    "feeds",
    "model_spec",
]


@dataclass(frozen=True)
class Prepared:
    """A prepared experiment. It is made without importing Keras.

    Attributes:
        experiment: the experiment with everything chosen that the config left to the data.
        splits: the parts of the data, with targets in the form that the loss takes.
        fingerprint: equal for equal experiments.
        targets: config key -> form of targets, for losses and metrics whose form was found by trying.
        notices: (label, text) of decisions that were made for the user.
        taken: what the model's own code passed to `compile`, whether used or not.
        earlier: the run that the model starts from; None for a new model.
    """

    experiment: Experiment
    splits: Splits
    fingerprint: str
    targets: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[tuple[str, str], ...] = ()
    taken: Taken = field(default_factory=Taken)
    earlier: Earlier | None = None

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of all measured metrics, except those that callbacks, or metrics that return a dict, may add."""
        plain, weighted = self.experiment.compiled_metrics(rows_weighted=self.is_weighted)
        trained = ("loss", *plain, *(f"weighted_{name}" if name in plain else name for name in weighted))
        parts = {"": True, "val_": self.splits.validation is not None, "test_": self.splits.test is not None}
        return tuple(prefix + name for prefix, exists in parts.items() if exists for name in trained)

    @property
    def has_open_metric_names(self) -> bool:
        """Whether a user's metric may return a dict, whose names only the metric knows."""
        own = [node.component for node in self.experiment.metrics.values() if node.component.distribution != OURSELVES]
        return any(each.reading().kind != "itself" and not _is_of_keras(each.load()) for each in own)

    @property
    def batch_size(self) -> int:
        """The number of rows of a batch: `trainer.batch_size`, or all training rows if they are fewer, as in Keras."""
        return min(self.experiment.trainer.batch_size, len(self.splits.train))

    @property
    def is_weighted(self) -> bool:
        """Whether rows have sample weights."""
        return self.splits.data.weights is not None

    @cached_property
    def spec(self) -> ModelSpec:
        """The shapes and the activation that the model is built for. Imports Keras, for the activation."""
        return model_spec(self.experiment, self.splits.spec)


def model_spec(experiment: Experiment, rows: DataSpec) -> ModelSpec:
    """Returns the shapes and the activation that the experiment's model is built for. Imports Keras.

    Args:
        experiment: the experiment; if its loss is not chosen yet, the default loss of the task decides the output.
        rows: the spec of its data.
    """
    from kexp.model import ModelSpec

    loss = experiment.loss or component_node("loss", traits.choices_for(rows.task)[0], "loss")
    units, output_activation = traits.output_for(
        traits.of_node(loss), loss.parameters, task=rows.task, outputs=rows.outputs
    )
    return ModelSpec(
        input_shape=rows.feature_shape,
        image_shape=rows.image_shape,
        units=units,
        output_activation=output_activation,
        activation=build_activation(experiment.activation),
        input_dtype=rows.feature_dtype,
        positions=rows.positions,
        words=rows.words,
    )


def _is_of_keras(made: Any) -> bool:
    return (made if isinstance(made, type) else type(made)).__module__.startswith("keras.")


def feeds(prepared: Prepared, kind: FeedKind | None = None) -> tuple[Feed, Feed | None, Feed | None]:
    """Returns the feeds of batches for training, validation and test.

    Args:
        prepared: the experiment.
        kind: the kind of feed; `data.feed` unless given. Both kinds yield the same batches.

    Returns:
        The three feeds; None for a part that does not exist.
    """
    from kexp.data import class_weights, feed

    experiment, splits = prepared.experiment, prepared.splits
    trainer = experiment.trainer
    weights = trainer.class_weight
    if weights == "balanced":
        weights = class_weights(splits.train, weights)
    kind, batch_size = kind or experiment.data.common["feed"], prepared.batch_size
    train = feed(
        splits.train,
        kind=kind,
        batch_size=batch_size,
        seed=experiment.seed,
        shuffle=trainer.shuffle,
        class_weight=weights,
        steps_per_epoch=trainer.steps_per_epoch,
        epochs=trainer.epochs,
    )
    rest = [
        None if part is None else feed(part, kind=kind, batch_size=batch_size, shuffle=False)
        for part in (splits.validation, splits.test)
    ]
    return train, rest[0], rest[1]

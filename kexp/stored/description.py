"""A description of a run's data, as the run recorded it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kexp.errors import LoadError
from kexp.schema import Experiment
from kexp.stored.runs import StoredRun

__all__ = ["Description", "describe"]


@dataclass(frozen=True)
class Description:
    """A description of a run's data.

    Attributes:
        rows: number of rows of each part: train, validation, test.
        feature_shape: the shape of one row's features.
        task: classification, regression or labels.
        classes: class names by index; None for a regression.
        feature_names: one name for each feature; None if they have no names.
        digest: the digest of the data's content.
        encoding: the encoding of a table's columns; None if the features were numbers already.
        positions: the positions in a row that have targets; () for one target a row.
        target_names: one name for each output of a regression or of labels; None if they have no names.
        weighted: whether rows had sample weights.
    """

    rows: Mapping[str, int]
    feature_shape: tuple[int, ...]
    task: str
    classes: tuple[str, ...] | None
    feature_names: tuple[str, ...] | None
    digest: str
    encoding: Mapping[str, Any] | None = field(default=None, compare=False)
    positions: tuple[int, ...] = ()
    target_names: tuple[str, ...] | None = None
    weighted: bool = False

    def steps_per_epoch(self, experiment: Experiment) -> int:
        """Returns the number of training steps of an epoch."""
        trainer = experiment.trainer
        return trainer.steps_per_epoch or -(-self.rows["train"] // trainer.batch_size)


def describe(run: StoredRun, experiment: Experiment) -> Description:
    """Describes a run's data from its record, or, if it has none, by reading the data again.

    Args:
        run: the run.
        experiment: the run's config, with its own data.

    Raises:
        LoadError: the record is not valid.
        DataError: there is no record, and the data cannot be read.
    """
    record = run.json("data.json")
    encoding = run.json("data_encoding.json")
    if record is None:
        from kexp.experiment import describe_data, prepare

        splits = prepare(experiment).splits
        record, encoding = describe_data(splits), encoding or splits.encoding or None
    try:
        return Description(
            rows={str(name): int(count) for name, count in record["rows"].items()},
            feature_shape=tuple(int(size) for size in record["feature_shape"]),
            task=str(record["task"]),
            classes=_names(record["classes"]),
            feature_names=_names(record["feature_names"]),
            digest=str(record["digest"]),
            encoding=encoding,
            positions=tuple(int(size) for size in record.get("positions", ())),
            target_names=_names(record.get("target_names")),
            weighted=bool(record.get("weighted")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LoadError(f"{run.label}: data.json does not describe data: {error!r}") from error


def _names(given: Any) -> tuple[str, ...] | None:
    return None if given is None else tuple(str(name) for name in given)

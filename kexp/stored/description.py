"""What the run's data looked like, known without reading the data again where the run noted it."""

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
    """A run's data.

    Attributes:
        rows: rows of each part: train, validation, test.
        feature_shape: shape of one row's features.
        task: classification, regression or labels.
        classes: class names by index; None for a regression.
        feature_names: one name a feature, where they are named.
        encoding: what a table's columns are encoded by; None where features were numbers already.
        digest: the digest of the data's content.
        positions: where in a row targets stand; () for one a row.
        target_names: one name an output of a regression or of labels, where they have names.
        weighted: whether rows had weights of their own.
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
        """Optimizer steps of an epoch."""
        trainer = experiment.trainer
        return trainer.steps_per_epoch or -(-self.rows["train"] // trainer.batch_size)


def describe(run: StoredRun, experiment: Experiment) -> Description:
    """What the run noted of its data; of a run that noted nothing the data is read again.

    Args:
        run: the run.
        experiment: its config, with its own data.

    Raises:
        LoadError: the note cannot be understood.
        DataError: there is none, and the data cannot be read.
    """
    noted = run.json("data.json")
    encoding = run.json("data_encoding.json")
    if noted is None:
        from kexp.experiment import described, prepare

        splits = prepare(experiment).splits
        noted, encoding = described(splits), encoding or splits.encoding or None
    try:
        return Description(
            rows={str(name): int(count) for name, count in noted["rows"].items()},
            feature_shape=tuple(int(size) for size in noted["feature_shape"]),
            task=str(noted["task"]),
            classes=_names(noted["classes"]),
            feature_names=_names(noted["feature_names"]),
            digest=str(noted["digest"]),
            encoding=encoding,
            positions=tuple(int(size) for size in noted.get("positions", ())),
            target_names=_names(noted.get("target_names")),
            weighted=bool(noted.get("weighted")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LoadError(f"{run.label}: data.json does not describe data: {error!r}") from error


def _names(given: Any) -> tuple[str, ...] | None:
    return None if given is None else tuple(str(name) for name in given)

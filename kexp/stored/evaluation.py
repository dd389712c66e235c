"""Evaluates a stored model on the data of its run, or on other data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp import traits
from kexp.build import build
from kexp.errors import DataError
from kexp.schema import Experiment
from kexp.stored.description import Description

if TYPE_CHECKING:
    import keras

    from kexp.data import Data, Part
    from kexp.persistence import Predictor

__all__ = ["Rows", "evaluate", "other_rows", "own_rows"]


@dataclass(frozen=True)
class Rows:
    """The rows to evaluate a model on.

    Attributes:
        part: the rows, with targets in the form that the loss takes.
        description: a description of the rows for the user.
        notes: notices on the rows, such as categories that the training rows did not have.
    """

    part: Part
    description: str
    notes: tuple[str, ...] = ()


def own_rows(experiment: Experiment, name: str = "test") -> Rows:
    """Returns rows of the run's own data, split as in the run.

    Args:
        experiment: the run's experiment.
        name: test, validation, train or all.

    Raises:
        DataError: the run has no such part, or its data can no longer be read.
    """
    from kexp.experiment import prepare

    splits = prepare(experiment).splits
    if name == "all":
        part: Part | None = _all_of(splits.data, experiment)
    else:
        part = getattr(splits, name)
    if part is None:
        raise DataError(f"--part: the run kept no {name} rows; choose another part, or other data")
    return Rows(part, f"{experiment.data.name}, {'all' if name == 'all' else f'the {name} split'}")


def other_rows(experiment: Experiment, run_data: Description, name: str = "all") -> Rows:
    """Returns rows of other data, with the encoding and the class indices of the run's data.

    Args:
        experiment: the run's experiment, with the other data chosen.
        run_data: the description of the run's data.
        name: test, validation, train or all; a part is split off as the config says.

    Raises:
        DataError: the rows do not fit the model.
    """
    from kexp.experiment import split_data

    data = _read(experiment, run_data)
    _check_fit(data, run_data)
    data = _with_classes(data, run_data)
    if name == "all":
        return Rows(_all_of(data, experiment), f"{experiment.data.name}, all rows", tuple(_notes(data)))
    splits = split_data(experiment, data)
    part = getattr(splits, name)
    if part is None:
        raise DataError(f"--part: the data has no {name} rows")
    return Rows(part.encode(_target_form(experiment, data.spec.task)), f"{experiment.data.name}, the {name} split")


def evaluate(model: keras.Model | Predictor, experiment: Experiment, rows: Rows) -> dict[str, float]:
    """Computes the loss and the metrics of the config on the rows, batched as in training and without class weights.

    For a format that stores only the predict function, the loss is computed from the predictions and lacks the terms
    that layers add, such as regularizers.

    Args:
        model: the loaded model.
        experiment: the run's experiment.
        rows: the rows.

    Returns:
        Metric -> value, with the loss as `loss`.
    """
    from kexp import training
    from kexp.data import feed
    from kexp.training.process.backend import seed_everything

    seed_everything(experiment.seed)
    batch_size = experiment.trainer.batch_size
    if hasattr(model, "evaluate"):
        batches = feed(rows.part, kind=experiment.data.common["feed"], batch_size=batch_size, shuffle=False)
        return training.evaluate(model, batches)
    import keras

    from kexp.experiment import compile_model

    x, y = rows.part.arrays()
    predicted = np.concatenate([model(x[at : at + batch_size]) for at in range(0, len(x), batch_size)])
    # A model without weights computes the loss and the metrics from the predictions.
    scorer = keras.Sequential([keras.Input(predicted.shape[1:]), keras.layers.Identity()])
    weights = rows.part.weights
    compile_model(experiment, scorer, -(-len(x) // batch_size), weighted=weights is not None)
    measured = scorer.evaluate(predicted, y, sample_weight=weights, batch_size=batch_size, verbose=0, return_dict=True)
    return {key: float(value) for key, value in measured.items()}


def _read(experiment: Experiment, run_data: Description) -> Data:
    """Reads the rows to evaluate on, encoded by the encoding of the run if they are a table, series or text."""
    from kexp.data import as_data, table_encoded
    from kexp.data.inference import with_classes

    node = experiment.data
    encoding = run_data.encoding or {}
    path = node.parameters.get("test_path") or node.parameters.get("path")
    kind = next((kind for kind in ("series", "text", "columns") if kind in encoding), None)
    if kind is None or not path or node.name not in ("csv", "table", kind):
        data = as_data(build(node))
        return with_classes(data) if run_data.task == "classification" else data
    if kind == "series":
        from kexp.data.sequences.series import series_encoded

        return series_encoded(path, encoding)
    if kind == "text":
        from kexp.data.sequences.text import text_encoded

        return text_encoded(path, encoding)
    return table_encoded(path, encoding)


def _notes(data: Data) -> list[str]:
    from kexp.data.table.encoding.summary import unseen_notices

    unseen = getattr(data.source, "unseen", None)
    return unseen_notices(unseen()) if unseen is not None else []


def _check_fit(data: Data, run_data: Description) -> None:
    """Checks that other data has the features and the targets that a run's model was trained with.

    Raises:
        DataError: it does not.
    """
    spec = data.spec
    if data.encoder is not None:
        raise DataError("data: the run's data was no table, so there is no encoding for the columns of this one")
    if tuple(spec.feature_shape) != run_data.feature_shape:
        raise DataError(
            f"data: must have rows of shape {run_data.feature_shape} as the run's data has, "
            f"got {tuple(spec.feature_shape)}"
        )
    if spec.positions != run_data.positions:
        raise DataError(
            f"data: must have targets at the positions {run_data.positions} of a row as the run's data has, "
            f"got {spec.positions}"
        )
    if spec.task != run_data.task:
        raise DataError(f"data: must be for a {run_data.task} as the run's data is, but is for a {spec.task}")
    names, wanted = spec.feature_names, run_data.feature_names
    if names is not None and wanted is not None and tuple(names) != wanted:
        odd = next(i for i, (name, other) in enumerate(zip(names, wanted, strict=True)) if name != other)
        raise DataError(f"data: feature {odd} must be {wanted[odd]!r} as in the run's data, got {names[odd]!r}")


def _with_classes(data: Data, run_data: Description) -> Data:
    """Returns the data with the run's class indices, which differ if the data has fewer classes.

    Raises:
        DataError: the data has a class that the run's data did not have.
    """
    names = data.spec.classes
    if names is None or run_data.classes is None or names == run_data.classes:
        return data
    missing = [name for name in names if name not in run_data.classes]
    if missing:
        raise DataError(f"data: must have classes of the run's ({', '.join(run_data.classes)}), got {missing[0]!r}")
    index = np.array([run_data.classes.index(name) for name in names], dtype=np.int64)
    spec = replace(data.spec, classes=run_data.classes, outputs=len(run_data.classes))
    return replace(data, source=_Renumbered(data.source, index), spec=spec, targets=index[data.targets])


class _Renumbered:
    """A source that maps class indices to other indices."""

    def __init__(self, source: Any, index: Any) -> None:
        self._source, self._index = source, index

    def __len__(self) -> int:
        return len(self._source)

    def read(self, rows: Any) -> tuple[Any, Any]:
        x, y = self._source.read(rows)
        return x, self._index[y]


def _all_of(data: Data, experiment: Experiment) -> Part:
    from kexp.data import Part

    form: Any = "class_index" if data.spec.task == "classification" else "dense"
    return Part(data, np.arange(len(data), dtype=np.intp), form).encode(_target_form(experiment, data.spec.task))


def _target_form(experiment: Experiment, task: str) -> Any:
    assert experiment.loss is not None
    return traits.of_node(experiment.loss).targets_for(task)

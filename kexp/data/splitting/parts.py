"""A part of a split: rows of the data, with targets in the form that the loss takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from kexp.data.source import ArraySource, Data, DataSpec, chunks
from kexp.errors import DataError, suggestion
from kexp.system.large_arrays import gathered
from kexp.system.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Part", "TargetForm", "encode_targets"]

_ROUNDING = 1e-3  # by which shares may miss 1
TargetForm = Literal["class_index", "one_hot", "binary", "signed", "non_negative", "shares", "dense"]


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a Data.

    Args:
        data: the data, encoded.
        rows: row numbers in the data, shape (n,).
        targets: the form of targets that `batch` and `arrays` return.
    """

    data: Data
    rows: NDArray[np.intp]
    targets: TargetForm = "dense"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def spec(self) -> DataSpec:
        """The description of a row."""
        return self.data.spec

    @property
    def in_memory(self) -> bool:
        """Whether the rows are in memory already, so that a copy takes no more memory than they do."""
        source = self.data.source
        return isinstance(source, ArraySource) and not isinstance(source.x, np.memmap)

    @cached_property
    def weights(self) -> NDArray[np.float32] | None:
        """The sample weights of the rows; None if all are equal."""
        return None if self.data.weights is None else gathered(self.data.weights, self.rows)

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The targets of the rows as the source returns them: class indices (n, *positions), or float32."""
        return gathered(self.data.targets, self.rows)

    def encode(self, targets: TargetForm) -> Part:
        """Returns the same rows with targets in another form, without loss of information.

        Args:
            targets: the form, at each position of a row. "class_index": int64. "one_hot": float32 (classes,).
                "binary": two classes as 0/1 float32 (1,), more classes as one-hot; labels unchanged. "signed": two
                classes as -1/1 (1,), more classes as one-hot of -1/1; labels as -1/1. "dense": classes as one-hot;
                labels and a regression's targets as float32 (outputs,). "non_negative" and "shares": as "dense", and
                the targets of a regression may not be below 0, or must also sum to 1.

        Raises:
            DataError: the form needs classes, or a regression with other targets. The message has no config key; the
                caller adds that of the loss or metric.
        """
        if targets not in get_args(TargetForm):
            raise DataError(f"there is no target form {targets!r}{suggestion(str(targets), get_args(TargetForm))}")
        if self.spec.task == "labels" and targets in ("class_index", "one_hot"):
            raise DataError(f"needs classes as targets, but the data has {self.spec.outputs} labels a row")
        if self.spec.task == "regression":
            _check_regression(targets, self.labels)
        return replace(self, targets=targets)

    def batch(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns features and targets of some rows of this part.

        Args:
            rows: positions in this part, shape (k,), each in [0, len).
        """
        x, y = self.data.source.read(self.rows[rows])
        return x, encode_targets(y, self.targets, self.spec)

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns features and targets of all rows, in row order. They are read once and then kept in memory."""
        return self._arrays

    @cached_property
    def _arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        if self.in_memory:
            return self.batch(np.arange(len(self), dtype=np.intp))
        x = np.empty((len(self), *self.spec.feature_shape), dtype=self.spec.feature_dtype)
        targets = []
        for rows in chunks(len(self)):  # reading may take more memory than the rows
            x[rows], y = self.batch(rows)
            targets.append(y)
        return x, np.concatenate(targets)


def encode_targets(y: NDArray[Any], form: TargetForm, spec: DataSpec) -> NDArray[Any]:
    """Convert a source's targets to a form; see `Part.encode` for the forms and their shapes."""
    if spec.task == "regression" or form == "class_index":
        return y
    dense = y
    if spec.task == "classification" and form in ("binary", "signed") and spec.outputs == 2:
        dense = y.astype(np.float32)[..., None]
    elif spec.task == "classification":
        dense = np.zeros((*y.shape, spec.outputs), dtype=np.float32)
        np.put_along_axis(dense, y[..., None], np.float32(1.0), axis=-1)
    return dense * np.float32(2.0) - np.float32(1.0) if form == "signed" else dense


def _check_regression(form: TargetForm, y: NDArray[Any]) -> None:
    outputs = f"a regression with {counted(y.shape[-1], 'output')}"
    if form in ("class_index", "one_hot"):
        raise DataError(f"needs classes as targets, but the data is {outputs}")
    if form == "shares" and ((y < 0).any() or (np.abs(y.sum(axis=-1) - 1) > _ROUNDING).any()):
        raise DataError(
            "is for a classification, but the data is a regression whose rows do not sum to 1; "
            "choose loss=mean_squared_error"
        )
    bounds = {"binary": (0.0, 1.0), "signed": (-1.0, 1.0), "non_negative": (0.0, None)}
    low, high = bounds.get(form, (None, None))
    if low is None or not len(y) or (y.min() >= low and (high is None or y.max() <= high)):
        return
    wanted = f"of {low:g} or more" if high is None else f"between {low:g} and {high:g}"
    raise DataError(f"needs targets {wanted}, but the data is {outputs} from {y.min():g} to {y.max():g}")

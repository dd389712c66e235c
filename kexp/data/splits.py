"""Cutting rows into training, validation and test parts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from kexp.data.order import split_generator
from kexp.data.parts import Part
from kexp.data.source import Data, DataSpec
from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Splits", "split"]

_Rows = tuple["NDArray[np.intp]", "NDArray[np.intp] | None", "NDArray[np.intp] | None"]  # of training, validation, test
_last: WeakKeyDictionary[Data, tuple[tuple[float, float, int], _Rows]] = WeakKeyDictionary()  # a sweep asks again

TEST_KEY, VALIDATION_KEY = "data.test_split", "trainer.validation_split"


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of one experiment.

    Args:
        train: training rows.
        validation: validation rows, or None.
        test: test rows, or None.
        encoding: what was learned from the training rows to encode features, as plain JSON; empty where nothing was.
        words: what was done with a table's columns, in a line; empty where the data is no table.
    """

    train: Part
    validation: Part | None
    test: Part | None
    encoding: dict[str, Any] = field(default_factory=dict)
    words: str = ""

    @property
    def data(self) -> Data:
        """The data as fed: encoded, with its final spec."""
        return self.train.data

    @property
    def spec(self) -> DataSpec:
        """What a row looks like, now that encoding is settled."""
        return self.train.data.spec

    def encode(self, targets: Any) -> Splits:
        """Every part with targets in another form; see `Part.encode`."""
        validation = None if self.validation is None else self.validation.encode(targets)
        test = None if self.test is None else self.test.encode(targets)
        return Splits(self.train.encode(targets), validation, test, self.encoding, self.words)


def split(data: Data, *, test: float = 0.2, validation: float = 0.2, seed: int = 0) -> Splits:
    """Training, validation and test parts, by seed; splits that the data came with win.

    A classification is stratified: each part holds classes in the data's proportions, and at least one row of each
    class that has enough. Rows of a part are in ascending order.

    Args:
        data: what to split.
        test: fraction of the rows held out for the final test, in [0, 1); 0 for none.
        validation: fraction of what is left after the test rows, in [0, 1); 0 for none.
        seed: decides which rows go where.

    Raises:
        DataError: a fraction out of range, a part asked for that would be empty, a single class left for training.
    """
    _check_fraction(TEST_KEY, test)
    _check_fraction(VALIDATION_KEY, validation)
    asked = (test, validation, seed)
    known, rows = _last.get(data, (None, None))
    if rows is None or known != asked:
        rows = _rows(data, *asked)
        _last[data] = asked, rows
    left, validation_rows, test_rows = rows
    encoding: dict[str, Any] = {}
    words = ""
    if data.encoder is not None:
        encoded = data.encoder.fit(left)
        encoding, words = encoded.encoding, encoded.words
        data = replace(data, source=encoded.source, spec=encoded.spec, encoder=None)
    form: Any = "class_index" if data.spec.task == "classification" else "dense"
    parts = [None if some is None else Part(data, some, form) for some in (validation_rows, test_rows)]
    return Splits(Part(data, left, form), parts[0], parts[1], encoding, words)


def _rows(data: Data, test: float, validation: float, seed: int) -> _Rows:
    random = split_generator(seed)
    given = data.splits or {}
    left = given.get("train", np.arange(len(data), dtype=np.intp))
    test_rows, validation_rows = given.get("test"), given.get("validation")
    if test_rows is None and test > 0:
        left, test_rows = _cut(data, left, test, random, name="test")
    if validation_rows is None and validation > 0:
        left, validation_rows = _cut(data, left, validation, random, name="validation")
    if data.spec.is_stratified and len(np.unique(data.targets[left])) < 2:
        raise DataError(f"{TEST_KEY}: leaves a single class to train on, got {test} of {len(data)} rows")
    return left, validation_rows, test_rows


def _check_fraction(key: str, fraction: float) -> None:
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction < 1:
        raise DataError(f"{key}: must be at least 0 and below 1, got {fraction!r}")


def _cut(
    data: Data, rows: NDArray[np.intp], fraction: float, random: np.random.Generator, *, name: str
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """What stays and what is cut off, both in ascending order."""
    n, key = len(rows), TEST_KEY if name == "test" else VALIDATION_KEY
    total = int(np.floor(n * fraction + 0.5))
    if total == 0:
        raise DataError(f"{key}: leaves no {name} rows, got {fraction} of {n}")
    if total >= n:
        raise DataError(f"{key}: leaves no training rows, got {fraction} of {n}")
    taken = np.zeros(n, dtype=bool)
    if data.spec.is_stratified:
        labels = data.targets[rows]
        members = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
        for places, count in zip(members, _shares(np.array([len(m) for m in members]), total), strict=True):
            taken[places[:count]] = True
    else:
        taken[random.permutation(n)[:total]] = True
    return rows[~taken], rows[taken]


def _shares(counts: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """How many of each class to cut off, so that they add up to `total` in the classes' proportions.

    Largest remainder, within bounds: one row at least of a class that has two, and one row at least stays behind. Where
    the bounds leave no room for `total`, they win over it.
    """
    ideal = counts * (total / counts.sum())
    low, high = np.minimum(1, counts - 1), counts - 1
    shares: NDArray[np.intp] = np.clip(np.floor(ideal).astype(np.intp), low, high)
    while shares.sum() != total:
        step = 1 if shares.sum() < total else -1
        room = shares < high if step > 0 else shares > low
        if not room.any():
            break
        shares[np.argmax(np.where(room, step * (ideal - shares), -np.inf))] += step
    return shares

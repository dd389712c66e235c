"""Split rows into training, validation and test parts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from kexp.data.source import PART_NAMES, Data, DataSpec
from kexp.data.splitting.cuts import cut, folds_of, split_kind
from kexp.data.splitting.order import split_generator
from kexp.data.splitting.parts import Part
from kexp.errors import DataError
from kexp.system.large_arrays import counted, gathered, numbered, selected

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Splits", "split"]

_Rows = tuple["NDArray[np.intp]", "NDArray[np.intp] | None", "NDArray[np.intp] | None"]  # train, validation, test
_last: WeakKeyDictionary[Data, tuple[tuple[Any, ...], _Rows]] = WeakKeyDictionary()  # trials of a sweep share it

TEST_KEY, VALIDATION_KEY = "data.test_split", "trainer.validation_split"


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of one experiment.

    Args:
        train: training rows.
        validation: validation rows, or None.
        test: test rows, or None.
        encoding: the encoding learned from the training rows, as plain JSON; empty if features needed none.
        summary: a line for the user that describes what became of a table's columns; empty for other data.
    """

    train: Part
    validation: Part | None
    test: Part | None
    encoding: dict[str, Any] = field(default_factory=dict)
    summary: str = ""

    @property
    def data(self) -> Data:
        """The encoded data, with its final spec."""
        return self.train.data

    @property
    def spec(self) -> DataSpec:
        """The description of an encoded row."""
        return self.train.data.spec

    @property
    def parts(self) -> dict[str, Part]:
        """The parts that exist, by name."""
        parts = {name: getattr(self, name) for name in PART_NAMES}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def held_out(self) -> Part:
        """The test part, or else the validation part, or else the training part."""
        return self.test or self.validation or self.train

    def encode(self, targets: Any) -> Splits:
        """Returns all parts with targets in another form; see `Part.encode`."""
        encoded: Any = {name: part.encode(targets) for name, part in self.parts.items()}
        return replace(self, **encoded)


def split(
    data: Data,
    *,
    test: float = 0.2,
    validation: float = 0.2,
    seed: int = 0,
    by: str | None = None,
    folds: int | None = None,
    fold: int | None = None,
) -> Splits:
    """Split data into training, validation and test parts. Given splits of the data take precedence.

    Rows of a part are in ascending order. A random split of a classification is stratified: each part has classes in
    the data's proportions, and at least one row of each class that has enough rows.

    Args:
        data: the data.
        test: fraction of the rows for the final test, in [0, 1); 0 for none.
        validation: fraction of the other rows, in [0, 1); 0 for none. Ignored with folds.
        seed: decides the rows of each part.
        by: "random", "time" (the last rows are the test part) or "group" (the rows of a group are in one part); None
            for the data's default.
        folds: number of folds that the rows besides the test part are divided into; one fold is the validation part.
        fold: the validation fold, from 0.

    Raises:
        DataError: a fraction is out of range, a requested part would be empty, or only one class is left for training.
    """
    _check_fraction(TEST_KEY, test)
    _check_fraction(VALIDATION_KEY, validation)
    _check_folds(data, folds, fold)
    settings = (test, validation, seed, by, folds, fold)
    cached, rows = _last.get(data, (None, None))
    if rows is None or cached != settings:
        rows = _rows(data, test, validation, seed, split_kind(data, by), folds, fold)
        _last[data] = settings, rows
    left, validation_rows, test_rows = rows
    encoding: dict[str, Any] = {}
    summary = ""
    if data.encoder is not None:
        encoded = data.encoder.fit(left)
        encoding, summary = encoded.encoding, encoded.summary
        dropped = len(data) - sum(len(part) for part in rows if part is not None)
        if dropped:
            summary += f"; {dropped} across a cut in time are in no part"
        data = replace(data, source=encoded.source, spec=encoded.spec, encoder=None)
    form: Any = "class_index" if data.spec.task == "classification" else "dense"
    parts = [None if some is None else Part(data, some, form) for some in (validation_rows, test_rows)]
    return Splits(Part(data, left, form), parts[0], parts[1], encoding, summary)


def _rows(data: Data, test: float, validation: float, seed: int, by: str, folds: int | None, fold: int | None) -> _Rows:
    random = split_generator(seed)
    given = data.splits or {}
    left = given["train"] if "train" in given else numbered(len(data))
    test_rows, validation_rows = given.get("test"), given.get("validation")
    if test_rows is None and test > 0:
        left, test_rows = cut(data, left, test, random, by=by, name="test", key=TEST_KEY)
    if folds is not None:
        of = folds_of(data, left, folds, random, by=by)
        left, validation_rows = selected(left, of != fold), selected(left, of == fold)
    elif validation_rows is None and validation > 0:
        left, validation_rows = cut(data, left, validation, random, by=by, name="validation", key=VALIDATION_KEY)
    if data.spec.is_stratified:
        _check_classes(data, left, by, test, folds)
    return left, validation_rows, test_rows


def _check_classes(data: Data, rows: NDArray[np.intp], by: str, test: float, folds: int | None) -> None:
    """Refuse training rows of a single class, and a fold that contains all rows of a class."""
    of_all = np.flatnonzero(counted(data.targets, data.spec.outputs))
    present = np.flatnonzero(counted(gathered(data.targets, rows), data.spec.outputs))
    if folds is not None and len(present) < len(of_all):
        missing = int(np.setdiff1d(of_all, present)[0])
        raise DataError(
            f"data.folds: every fold must leave rows of each class to train on, but {data.class_name(missing)!r} has "
            "none outside this fold and the test part"
        )
    if len(present) < 2:
        key = TEST_KEY if by == "random" else f"data.{by}"
        got = f"{test} of {len(data)} rows" if by == "random" else f"a split by {by}"
        raise DataError(f"{key}: leaves a single class to train on, got {got}")


def _check_folds(data: Data, folds: int | None, fold: int | None) -> None:
    if folds is None:
        if fold is not None:
            raise DataError(f"data.fold: needs data.folds, the number of folds, got {fold!r} alone")
        return
    if folds < 2:
        raise DataError(f"data.folds: must be at least 2, got {folds!r}")
    if fold is None:
        raise DataError(f"data.fold: must be given with data.folds; data.fold=range({folds}) -m trains them all")
    if not 0 <= fold < folds:
        raise DataError(f"data.fold: must be in [0, {folds}), got {fold!r}")
    if "validation" in (data.splits or {}):
        raise DataError("data.folds: must not be given with data that comes with validation rows")


def _check_fraction(key: str, fraction: float) -> None:
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction < 1:
        raise DataError(f"{key}: must be at least 0 and below 1, got {fraction!r}")

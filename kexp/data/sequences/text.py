"""Texts as word indices, by a vocabulary that is learned from the training rows and stored with the run.

Words are split, counted and numbered as in Keras' TextVectorization, but without TensorFlow. The model therefore takes
numbers, which every backend, format and lane supports, and the vocabulary is plain JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.class_folders import class_files
from kexp.data.sequences.text_files import read_texts
from kexp.data.source import (
    ArraySource,
    ContentHash,
    Data,
    DataSpec,
    Encoded,
    GivenSplits,
    check_classes,
    check_splits,
    check_weights,
    from_source,
)
from kexp.data.table.files.matching import ENDINGS, ending_of, table_files
from kexp.data.table.options import ReadOptions
from kexp.data.table.reading import read_table
from kexp.data.table.stored import Table
from kexp.data.table.targets import known_targets, rows_with, targets_of
from kexp.data.table.unfitted import Unfitted, kinds_read, spec_kept
from kexp.data.targets import Targets, index_targets
from kexp.errors import DataError
from kexp.serving.texts import tokens, words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Plan", "text_data", "text_encoded", "text_rows", "texts_of", "vocabulary"]

MOST_WORDS = 200  # default number of words of a text


@dataclass(frozen=True)
class Plan:
    """The settings of `data=text`; see `text_component.text`."""

    target: tuple[str, ...]
    column: str | None
    words: int
    length: int
    task: str = "auto"
    classes: Sequence[str] | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        for key, value, least in (("words", self.words, 3), ("length", self.length, 1)):
            if value < least:
                raise DataError(f"data.{key}: must be at least {least}, got {value!r}")


@dataclass(frozen=True)
class _Encoder:
    """Learns the vocabulary of the training rows."""

    texts: Sequence[str]
    targets: Targets
    plan: Plan
    about: Mapping[str, Any]
    notes: Sequence[str] = ()
    taught: Sequence[str] | None = None

    def with_encoding(self, encoding: Mapping[str, Any], label: str) -> _Encoder:
        """Returns this encoder with the vocabulary of an earlier run.

        Raises:
            DataError: the run had no texts, or texts of another length.
        """
        if "text" not in encoding:
            raise DataError(f"data: must be a table as in {label}, got texts")
        length = encoding["text"]["length"]
        if self.plan.length != length:
            raise DataError(f"data.length: must be {length} as in {label}, got {self.plan.length}")
        return replace(self, taught=encoding["text"]["vocabulary"])

    def fit(self, rows: NDArray[np.intp]) -> Encoded:
        learned = self.taught
        if learned is None:
            learned = vocabulary((self.texts[row] for row in rows), self.plan.words)
        targets = self.targets
        encoding = {
            **self.about,
            "text": {
                "column": self.plan.column,
                "encoding": self.plan.encoding,
                "length": self.plan.length,
                "vocabulary": list(learned),
            },
            "task": targets.task,
            "classes": None if targets.classes is None else list(targets.classes),
            "outputs": targets.outputs,
        }
        source = ArraySource(tokens(self.texts, learned, self.plan.length), targets.values)
        summary = f"{len(self.texts)} texts, {len(learned)} words, the first {self.plan.length} of a text"
        return Encoded(source, _spec(encoding), encoding, "; ".join([summary, *self.notes]))


def vocabulary(texts: Iterable[str], most: int) -> list[str]:
    """Return the most frequent words, at most `most - 2`: one index is for padding, and one for all other words."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(words_of(text))
    ranked = sorted(counts.items(), key=lambda each: (each[1], each[0]), reverse=True)
    return [word for word, _ in ranked[: most - 2]]


def text_data(path: str, plan: Plan) -> Data:
    """Load the texts of a table's column, or of .txt files in one folder for each class.

    Args:
        path: the table or folder.
        plan: the settings.

    Raises:
        DataError: there are no texts, a class has no file, there is only one class, or no column is text.
    """
    if Path(path).expanduser().is_dir() and not _tables_in(Path(path).expanduser()):
        files, names, splits = class_files(path, (".txt",), "data.path")
        texts, notes = read_texts(files, plan.encoding, "data.path")
        targets = index_targets(np.array(names), "classification", plan.classes, "data")
        about: dict[str, Any] = {"target": []}
        return _of(texts, targets, plan, about, "data.path", splits, notes=notes)
    tables, how = table_files(path, "data.path"), ReadOptions(encoding=plan.encoding)
    how.refuse_unused([file.form for file in tables])
    table = read_table(tables, how)
    column = _text_column(table, plan)
    if not plan.target:
        raise DataError("data.target: must name the column to predict")
    wanted = [table.column(name, "data.target") for name in plan.target]
    rows = rows_with(wanted, len(table))
    targets = targets_of(wanted, rows, plan.task, plan.classes)
    plan = replace(plan, column=column)
    texts = _column_texts(table, column, rows)
    about = {"target": list(plan.target), "kinds": kinds_read((), wanted)}
    return _of(texts, targets, plan, about, "data.target", notes=table.notes)


def text_rows(
    texts: Sequence[str], y: Any, weights: Any, splits: GivenSplits | None, key: str, names: Sequence[str]
) -> Data:
    """Convert texts that a user's function returns; their length is that of the longest text, at most 200 words."""
    y = np.asarray(y)
    if len(texts) != len(y):
        raise DataError(f"{key}: x and y must have as many rows, got {len(texts)} and {len(y)}")
    targets = index_targets(y, None, None, key)
    length = max(1, min(MOST_WORDS, max(len(words_of(text)) for text in texts)))
    kind = "text" if targets.classes is not None and y.dtype.kind in "OUS" else "number"
    about = {"target": list(names), "kinds": {name: [kind, None] for name in names}}
    return _of(texts, targets, Plan(tuple(names), "text", 10_000, length), about, key, splits, weights)


def _of(
    texts: Sequence[str],
    targets: Targets,
    plan: Plan,
    about: Mapping[str, Any],
    key: str,
    splits: GivenSplits | None = None,
    weights: Any = None,
    notes: Sequence[str] = (),
) -> Data:
    spec = targets.spec((plan.length,), words=plan.words)
    check_classes(targets.values, spec, key)
    splits = None if splits is None else check_splits(splits, len(texts), key)
    hashed = ContentHash()
    joined = "".join(f"{len(text)}:{text}" for text in texts).encode()
    hashed.add("texts", np.frombuffer(joined, dtype=np.uint8))
    hashed.add("targets", targets.values)
    if weights is not None:
        weights = check_weights(np.asarray(weights), targets.values, spec, key)
        hashed.add("weights", weights)
    digest = hashed.digest(spec.task, splits)
    encoder = _Encoder(texts, targets, plan, about, notes)
    return Data(Unfitted(len(texts)), spec, digest, targets.values, splits, encoder, weights)


def text_encoded(path: str, encoding: Mapping[str, Any], *, key: str = "data.path") -> Data:
    """Load other texts with their targets, encoded with a run's vocabulary."""
    if not encoding["target"]:
        files, names, _ = class_files(path, (".txt",), key)
        texts, _ = read_texts(files, encoding["text"].get("encoding"), key)
        y: Any = index_targets(np.array(names), "classification", encoding["classes"], "data").values
    else:
        kinds = {name: kind for name, (kind, _) in encoding["kinds"].items()}
        table = read_table(table_files(path, key), _reading(encoding, kinds))
        column = encoding["text"]["column"]
        table.column(column, key)
        rows = rows_with([table.column(name, key) for name in encoding["target"]], len(table))
        texts = _column_texts(table, column, rows)
        y = known_targets(table, encoding, rows, key)
    x = tokens(texts, encoding["text"]["vocabulary"], encoding["text"]["length"])
    return from_source(ArraySource(x, y), _spec(encoding), key=key, any_classes=True)


def texts_of(path: Path, encoding: Mapping[str, Any], key: str) -> tuple[list[str], dict[str, list[str]]]:
    """Read texts to predict from a table's column, a .txt file or a folder of .txt files.

    A .txt file is one text if the run's data was files; otherwise, each line is a text.

    Args:
        path: the table, file or folder.
        encoding: the run's encoding.
        key: the argument, for messages.

    Returns:
        The texts, and their labels: the column `file` with file names, if each text is a file.
    """
    column, encoded_as = encoding["text"]["column"], encoding["text"].get("encoding")
    if path.is_dir():
        files = sorted(path.rglob("*.txt"))
        return read_texts(files, encoded_as, key)[0], {"file": [str(file.relative_to(path)) for file in files]}
    if path.suffix.lower() == ".txt":
        ((whole,), _) = read_texts([path], encoded_as, key)
        return ([whole], {"file": [path.name]}) if column is None else (whole.splitlines(), {})
    table = read_table(table_files(str(path), key), _reading(encoding))
    name = column or _text_column(table, Plan((), None, 3, 1))
    table.column(name, key)
    return _column_texts(table, name, np.arange(len(table), dtype=np.intp)), {}


def _spec(encoding: Mapping[str, Any]) -> DataSpec:
    text = encoding["text"]
    return spec_kept(encoding, (text["length"],), words=len(text["vocabulary"]) + 2)


def _text_column(table: Table, plan: Plan) -> str:
    if plan.column is not None:
        if plan.column in plan.target:
            raise DataError(f"data.text: must not be the target, got {plan.column!r}")
        if table.column(plan.column, "data.text").kind != "text":
            raise DataError(f"data.text: column {plan.column!r} must hold text, got {table.columns[plan.column].kind}")
        return plan.column
    found = [each for each in table.columns.values() if each.kind == "text" and each.name not in plan.target]
    if not found:
        raise DataError(f"data.text: {table.name} has no column of text")
    return max(found, key=lambda each: sum(map(len, each.words[:1000])) / max(1, len(each.words[:1000]))).name


def _column_texts(table: Table, name: str, rows: NDArray[np.intp]) -> list[str]:
    column = table.columns[name]
    if column.kind != "text":
        raise DataError(f"data.text: column {name!r} must hold text, got {column.kind}")
    words = column.words
    return ["" if code < 0 else words[code] for code in column.values[rows]]


def _tables_in(folder: Path) -> bool:
    """Return whether a folder has tables; a .txt file beside class folders, such as a readme, is not a table."""
    names = [each.name for each in folder.iterdir() if each.is_file() and each.suffix.lower() != ".txt"]
    return any(ending_of(name) in ENDINGS for name in names)


def _reading(encoding: Mapping[str, Any], kinds: Mapping[str, str] | None = None) -> ReadOptions:
    """Return how the run read the text of its table."""
    return ReadOptions(encoding=encoding["text"].get("encoding"), kinds=kinds)

"""Encodes raw rows and names a model's outputs inside a TensorFlow graph, as `kexp.serving` does with NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kexp.persistence.formats.raw_rows.columns import Column, read_as
from kexp.persistence.formats.raw_rows.tensorflow_cells import (
    DAY_S,
    days_from_civil,
    moments,
    numbers,
    refuse,
    trimmed,
    year_of,
)
from kexp.serving.encoding import feature_names, fill_date, used_columns
from kexp.serving.outputs import Outputs
from kexp.serving.texts import UNKNOWN

__all__ = ["RawRows", "named_answers"]

_NUMBERS = ("number", "boolean")  # types of category columns that are not text


class RawRows:
    """Raw rows as inputs of a graph.

    Args:
        rows: the description of rows in `serving.json`, for which `why_encoded` is empty.
        batch: the number of rows of each call; None for any number.
    """

    def __init__(self, rows: Mapping[str, Any], batch: int | None = None) -> None:
        self.kind, self.shape, self.names = rows["kind"], tuple(rows.get("shape", ())), rows.get("names") or ()
        self.encoding, self.column, self.batch = rows.get("encoding") or {}, rows.get("column", ""), batch
        self.tables = self._tables()  # created outside the graph, which refers to them

    @property
    def whole(self) -> bool:
        """Whether rows are already features, in one tensor."""
        return self.kind == "images" or (self.kind == "array" and not self.names)

    def inputs(self) -> dict[str, Any]:
        """Returns the input tensors by column name: float64 for numbers, text for all others."""
        one, whole = (self.batch,), self.whole
        if whole:
            return {"inputs": tf.TensorSpec((self.batch, *self.shape), tf.float32)}
        if self.kind == "text":
            return {self.column: tf.TensorSpec(one, tf.string)}
        if self.kind == "array":
            return {name: tf.TensorSpec(one, tf.float64) for name in self.names}
        of_row = (self.batch, self.encoding["series"]["window"]) if self.kind == "series" else one
        return {
            column["name"]: tf.TensorSpec(of_row, tf.float64 if self._is_plain(column) else tf.string)
            for column in used_columns(self.encoding)
        }

    def features(self, given: Mapping[str, Any]) -> Any:
        """Returns the features, float32, of tensors with the names of `inputs`."""
        if self.whole:
            return given["inputs"]
        if self.kind == "text":
            return self._tokens(given[self.column])
        if self.kind == "array":
            stacked = tf.stack([tf.cast(given[name], tf.float32) for name in self.names], axis=1)
            return tf.reshape(_check_finite(stacked, "rows"), (-1, *self.shape))
        columns = [tf.reshape(given[column["name"]], [-1]) for column in used_columns(self.encoding)]
        parts = [self._encoded(column, each) for column, each in zip(used_columns(self.encoding), columns, strict=True)]
        return tf.reshape(tf.concat(parts, axis=1), (-1, *self.shape))

    def _is_plain(self, column: Column) -> bool:
        kind, form = read_as(column, self.encoding)
        return kind == "number" and not form

    def _encoded(self, column: Column, values: Any) -> Any:
        """Returns a column's features, shape (rows, features)."""
        name, (_, form) = column["name"], read_as(column, self.encoding)
        if name in self.tables:
            return _one_hot(column, *self._places_of_texts(column, values))
        if column["kind"] == "date":
            return _date(column, moments(self._without_na(name, values), name, form))
        found = tf.cast(values, tf.float64) if self._is_plain(column) else None
        if found is None:
            found = numbers(self._without_na(name, values), name, form)
        else:
            found = self._numbers_without_na(name, found)
        if column["kind"] == "category":
            return _one_hot(column, _places_of_numbers(column["categories"], found), tf.math.is_nan(found))
        missing = tf.math.is_nan(found)
        filled = tf.cast(tf.where(missing, tf.constant(column["median"], tf.float64), found), tf.float32)
        return _with_missing(column, _check_finite(filled, f"column {name!r}")[:, None], missing)

    def _na_values(self, name: str) -> list[str]:
        """Returns what means a missing value in a column, besides the usual texts."""
        reading = self.encoding.get("reading") or {}
        return [*(reading.get("na_values") or ()), *(reading.get("missing") or {}).get(name, ())]

    def _without_na(self, name: str, texts: Any) -> Any:
        """Replaces texts that mean a missing value in a column by empty ones."""
        for each in self._na_values(name):
            texts = tf.where(tf.equal(trimmed(texts), each), "", texts)
        return texts

    def _numbers_without_na(self, name: str, values: Any) -> Any:
        for each in self._na_values(name):
            try:
                missing = float(each)
            except ValueError:
                continue
            values = tf.where(tf.equal(values, missing), tf.constant(np.nan, tf.float64), values)
        return values

    def _places_of_texts(self, column: Column, texts: Any) -> tuple[Any, Any]:
        texts = trimmed(self._without_na(column["name"], texts))
        return self.tables[column["name"]].lookup(texts), tf.equal(texts, "")

    def _tokens(self, texts: Any) -> Any:
        """See `kexp.serving.texts.tokens`."""
        words = self.encoding["text"]
        plain = tf.strings.regex_replace(tf.strings.lower(texts), r"[!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']", "")
        found = tf.ragged.map_flat_values(self.tables[self.column].lookup, tf.strings.split(plain))
        return tf.cast(found.to_tensor(0, shape=(None, words["length"])), tf.float32)

    def _tables(self) -> dict[str, Any]:
        """Returns column name -> lookup table of its texts."""
        if self.kind == "text":
            words = self.encoding["text"]["vocabulary"]
            return {self.column: _table({word: place for place, word in enumerate(words, start=2)}, UNKNOWN)}
        columns = [] if "columns" not in self.encoding else used_columns(self.encoding)
        kinds = {column["name"]: read_as(column, self.encoding)[0] for column in columns}
        texts = [each for each in columns if each["kind"] == "category" and kinds[each["name"]] not in _NUMBERS]
        return {column["name"]: _table(_places(column["categories"]), -1) for column in texts}


def named_answers(outputs: Outputs, predicted: Any) -> dict[str, Any]:
    """Names a model's outputs as `kexp.serving.outputs` does.

    Args:
        outputs: how to interpret them.
        predicted: the model's output, shape (rows, ...).

    Returns:
        Name -> tensor of shape (rows, ...).
    """
    if outputs.from_logits:
        predicted = tf.sigmoid(predicted) if outputs.task == "labels" else tf.nn.softmax(predicted)
    width = int(np.prod(predicted.shape[1:]))
    arrays = outputs.array_names(width)
    if outputs.classes is None or outputs.task == "labels":
        if arrays:
            return {arrays[0]: predicted}
        flat = tf.reshape(predicted, (-1, width))
        return dict(zip(outputs.names(width), tf.unstack(flat, num=width, axis=1), strict=True))
    if predicted.shape[-1] == 1:
        opposite = -predicted if outputs.activation == "tanh" else 1 - predicted
        predicted = tf.concat([opposite, predicted], axis=-1)
    decided = tf.gather(tf.constant(list(outputs.classes)), tf.argmax(predicted, axis=-1))
    if arrays:
        return dict(zip(arrays, (decided, predicted), strict=True))
    count = len(outputs.classes)
    columns = [decided, *tf.unstack(predicted, num=count, axis=-1)]
    return dict(zip(outputs.names(count), columns, strict=True))


def _places(categories: Sequence[str]) -> dict[str, int]:
    """Returns each spelling of a category -> its index; see `kexp.serving.encoding`."""
    known = {name: place for place, name in enumerate(categories)}
    for name, place in list(known.items()):
        known.setdefault(f"{name}.0", place)
    for word in ("true", "false"):
        for each in (word.title(), word.upper()):
            if each in known:
                known.setdefault(word, known[each])
    return known


def _table(known: Mapping[str, int], default: int) -> Any:
    """Returns a lookup table of texts, with a default for unknown ones."""
    keys, values = list(known) or [""], list(known.values()) or [default]
    pairs = tf.lookup.KeyValueTensorInitializer(keys, values, tf.string, tf.int64)
    return tf.lookup.StaticHashTable(pairs, default)


def _check_finite(values: Any, what: str) -> Any:
    refuse(~tf.math.is_finite(values), values, f"{what} must be finite, got")
    return values


def _with_missing(column: Column, encoded: Any, missing: Any) -> Any:
    if not column["missing"]:
        return encoded
    return tf.concat([encoded, tf.cast(missing, tf.float32)[:, None]], axis=1)


def _one_hot(column: Column, place: Any, missing: Any) -> Any:
    """See `kexp.serving.encoding.fill_category`."""
    count = len(column["categories"])
    if column["others"]:
        place = tf.where(place < 0, tf.constant(count, tf.int64), place)
    of_missing = count + column["others"] if column["missing"] else -1
    place = tf.where(missing, tf.constant(of_missing, tf.int64), place)
    return tf.one_hot(place, len(feature_names(column)))


def _places_of_numbers(categories: Sequence[str], values: Any) -> Any:
    known = tf.constant([float({"true": "1", "false": "0"}.get(name, name)) for name in categories], tf.float64)
    same = tf.equal(values[:, None], known[None, :])
    return tf.where(tf.reduce_any(same, axis=1), tf.argmax(tf.cast(same, tf.int8), axis=1), -1)


def _date(column: Column, seconds: Any) -> Any:
    """See `kexp.serving.encoding.fill_date`."""
    missing = tf.math.is_nan(seconds)
    seconds = tf.where(missing, tf.zeros_like(seconds), seconds)
    days = tf.cast(tf.floor(seconds / DAY_S), tf.int64)
    year = year_of(days)
    one = tf.ones_like(year)
    begins, ends = days_from_civil(year, one, one), days_from_civil(year + 1, one, one)
    shares = [tf.cast(days - begins, tf.float64) / tf.cast(ends - begins, tf.float64)]
    shares.append(tf.cast((days + 3) % 7, tf.float64) / 7)  # 1970 began on a Thursday; Monday is 0
    waves = [wave(2 * np.pi * share) for share in shares for wave in (tf.sin, tf.cos)]
    parts = [tf.cast(year, tf.float64), *waves, tf.cast(days, tf.float64) - column["first"]]
    if column["times"]:
        share = tf.math.floormod(seconds, DAY_S) / DAY_S
        parts += [tf.sin(2 * np.pi * share), tf.cos(2 * np.pi * share)]
    encoded = tf.cast(tf.stack(parts, axis=1), tf.float32)
    usual = np.zeros((1, len(feature_names(column))), dtype=np.float32)
    fill_date(usual, 0, np.array([np.nan]), column)
    encoded = tf.where(missing[:, None], tf.constant(usual[:, : len(parts)]), encoded)
    return _with_missing(column, encoded, missing)

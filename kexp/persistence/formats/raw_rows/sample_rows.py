"""Sample rows to verify a saved graph on: every category, an unknown one, missing values, days of leap years."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.serving.cells import COMMA, FORMS, SCALED
from kexp.serving.encoding import encode, used_columns
from kexp.serving.outputs import Outputs
from kexp.serving.texts import tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["raw_difference", "sample_rows"]

_DAYS = ("2024-02-29", "1999-12-31", "1969-07-20", "2000-01-01", "2023-03-01")
_NUMBERS = (0.0, -1.5, 1234567.0, 3.25)
_TOLERANCE = 1e-5  # the default for every format's predictions


def raw_difference(loaded: Any, contract: Mapping[str, Any]) -> str | None:
    """Compares a saved graph's predictions for raw rows with those for the same rows encoded by NumPy.

    Args:
        loaded: a Predictor with `batch` and `answers`.
        contract: the description of rows and outputs in `serving.json`.

    Returns:
        The difference, as the end of a sentence; None if there is none.
    """
    given, features = sample_rows(contract["rows"])
    if loaded.batch is not None:
        some = np.arange(loaded.batch) % len(features)
        given, features = {name: each[some] for name, each in given.items()}, features[some]
    expected = _named_outputs(Outputs.of_json(contract["outputs"]), np.asarray(loaded(features)))
    answers = loaded.answers(given)
    if set(answers) != set(expected):
        return f"answers {', '.join(sorted(answers))} instead of {', '.join(sorted(expected))}"
    for name, wanted in expected.items():
        found = answers[name]
        if found.dtype.kind == "O":  # classes with nearly equal scores may be decided differently
            continue
        if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
            return f"answers other {name} to raw rows than to encoded ones"
    return None


def sample_rows(rows: Mapping[str, Any]) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
    """Returns sample rows by column in the form that a graph takes, and the features that NumPy encodes from them.

    Args:
        rows: the description of rows in `serving.json`.
    """
    import pandas as pd

    random = np.random.default_rng(0)
    shape = rows.get("shape", ())
    if rows["kind"] == "text":
        words = rows["encoding"]["text"]
        texts = [" ".join(words["vocabulary"][:9]), "Who? What, never!", "", "  a\n b "]
        return {rows["column"]: np.array(texts, dtype=object)}, tokens(texts, words["vocabulary"], words["length"])
    if rows["kind"] == "array":
        x = random.random((4, *shape)).astype(np.float32)
        flat = x.reshape(len(x), -1)
        names = rows.get("names")
        return {name: flat[:, at].astype(float) for at, name in enumerate(names)} if names else {"inputs": x}, x
    encoding = rows["encoding"]
    values = {column["name"]: _values(column, encoding) for column in used_columns(encoding)}
    window = shape[0] if rows["kind"] == "series" else 1
    count = max(map(len, values.values()))
    count = -(-count // window) * window
    frame = pd.DataFrame({name: [each[row % len(each)] for row in range(count)] for name, each in values.items()})
    of_rows = (-1, window) if rows["kind"] == "series" else (-1,)
    sent = {str(name): np.asarray(frame[name]).reshape(of_rows) for name in frame}
    return sent, encode(frame, encoding).reshape(-1, *shape)


def _values(column: Mapping[str, Any], encoding: Mapping[str, Any]) -> list[Any]:
    """Returns sample values of a column in the form that a graph takes: numbers, or texts in the column's format."""
    kind, form = encoding["kinds"][column["name"]]
    form = column.get("format") or form
    if column["kind"] == "date" or (form or "").startswith("%"):
        moments = [datetime.datetime.fromisoformat(f"{day}T13:45:06") for day in _DAYS]
        return [*(each.strftime(form) if form else each.isoformat(" ") for each in moments), ""]
    if kind == "boolean":
        return ["true", "False", "1", "", "n/a"]
    if column["kind"] == "category" and kind != "number":
        return [*column["categories"], "none of them", "", f" {column['categories'][0]} "]
    known = [float({"true": 1, "false": 0}.get(each, each)) for each in column.get("categories", ())]
    numbers = [*known, column.get("median", 0.0), *_NUMBERS]
    if not form:
        return [*numbers, np.nan]
    texts = [f"{number:,}" for number in numbers]
    if form == COMMA:
        texts = [text.translate(str.maketrans(",.", ".,")) for text in texts]
    assert form in FORMS
    scaled = ["1.2K", "-0.5M", "3B", "12k"] if form == SCALED else []
    return [*texts, *scaled, f"$ {texts[0]} km", f"({texts[-1]})", f"{texts[0]}-", ""]


def _named_outputs(outputs: Outputs, predicted: NDArray[Any]) -> dict[str, NDArray[Any]]:
    arrays = outputs.arrays(predicted)
    return outputs.columns(predicted) if arrays is None else arrays

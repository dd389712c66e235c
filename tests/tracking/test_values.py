"""How config becomes parameters that MLflow takes whole."""

from __future__ import annotations

import math
import random
import string

import numpy as np
import pytest

from kexp.tracking import flatten
from kexp.tracking.record.rows import metric_row, param_row, tag_row
from kexp.tracking.values import param_value, restored_metric, safe_key


def test_flatten_gives_dotted_keys_and_keeps_lists_and_empty_nodes() -> None:
    config = {
        "optimizer": {"name": "adam", "schedule": None},
        "model": {"hidden": [64, 32]},
        "callbacks": {},
        "seed": 1,
    }
    assert flatten(config) == {
        "optimizer.name": "adam",
        "optimizer.schedule": None,
        "model.hidden": [64, 32],
        "callbacks": {},
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        (0.001, "0.001"),
        ("adam", "adam"),
        ([128, 64], "[128, 64]"),
        (np.float32(0.5), "0.5"),
    ],
)
def test_param_value_is_what_one_types(value: object, text: str) -> None:
    assert param_value(value) == text


def test_safe_key_leaves_good_keys_alone() -> None:
    for key in ("optimizer.learning_rate", "metrics/top k", "größe", "a-b:c"):
        assert safe_key(key) == key


def test_safe_key_is_taken_by_mlflow_whatever_the_key() -> None:
    """The judge is MLflow's own validation, on random keys of its forbidden characters."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    def refused(key: str) -> bool:
        try:
            _validate_param_name(key)
            _validate_metric_name(key)
        except MlflowException:
            return True
        return False

    rng = random.Random()
    alphabet = string.ascii_letters + "_-./: %$#!()[]{}\\😀é\n\t'\""
    keys = ["".join(rng.choices(alphabet, k=rng.randint(1, 400))) for _ in range(500)]
    keys += ["", ".", "..", "/", "a//b", "a/../b", "./a", "a/", "x" * 251, "a..b", "/a"]
    assert [key for key in keys if refused(safe_key(key))] == []
    assert refused("a//b")


def test_safe_key_keeps_different_keys_apart() -> None:
    assert len({safe_key(key) for key in ("a%b", "a$b", "a_b", "a//b", "a/b", "x" * 300, "x" * 301)}) == 7


def test_param_row_keeps_a_long_value_whole_and_marks_its_place() -> None:
    long = "x" * 6001
    row, whole = param_row({"model.layers": long, "short": "x" * 6000})
    assert whole == {"model.layers": long}
    assert row["params"]["model.layers"].startswith("sha256:")
    assert row["params"]["short"] == "x" * 6000


def test_metric_row_names_the_infinite() -> None:
    row, infinite = metric_row({"loss": math.inf, "gain": -math.inf, "nan": math.nan, "ok": np.float32(1)}, 3, 17)
    assert infinite == ["loss", "gain"]
    assert [restored_metric(value) for _, value, _, _ in row["metrics"][:2]] == [math.inf, -math.inf]
    assert math.isnan(row["metrics"][2][1])
    assert row["metrics"][3] == ["ok", 1.0, 3, 17]


def test_tag_row_shortens_what_mlflow_would_refuse() -> None:
    text = tag_row({"note": "x" * 9000})["tags"]["note"]
    assert len(text) == 8000
    assert text.endswith("…")

"""What a plugin hands over is held to its group's promise; the sentence names both sides, package and version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributions import installed

import kexp
from kexp import registry
from kexp.build import build, build_format, build_loss, build_metrics
from kexp.errors import ComponentError, DataError
from kexp.schema import component_node

QUIET = ["tracking=none", "trainer.verbose=0", "trainer.epochs=1", "save.formats=[]"]


@pytest.mark.parametrize(
    ("group", "promised"),
    [
        ("optimizer", "keras.optimizers.Optimizer"),
        ("schedule", "keras.optimizers.schedules.LearningRateSchedule"),
        ("layer", "keras.layers.Layer"),
        ("callbacks", "keras.callbacks.Callback"),
        ("initializer", "keras.initializers.Initializer"),
        ("regularizer", "keras.regularizers.Regularizer"),
        ("constraint", "keras.constraints.Constraint"),
        ("model", "keras.Model"),
    ],
)
def test_a_factory_that_returns_the_wrong_kind_is_named_with_its_package(
    tmp_path: Path, group: str, promised: str
) -> None:
    entries = {f"kexp.{group}": {"theirs": "their_parts:theirs"}}
    with installed(tmp_path / "site", "their-parts", {"their_parts": "def theirs(): return {}\n"}, entries):
        with pytest.raises(ComponentError) as caught:
            build(component_node(group, "theirs", group))
        assert str(caught.value) == (
            f"{group}: their_parts:theirs of their-parts 1.0 must return a {promised}, got dict"
        )
        assert registry.find("optimizer", "adam").problem() is None


@pytest.mark.parametrize(("group", "make"), [("loss", build_loss), ("metrics", lambda n: build_metrics({"m": n}))])
def test_a_loss_or_metric_that_cannot_be_called_is_named_with_its_package(
    tmp_path: Path, group: str, make: Any
) -> None:
    entries = {f"kexp.{group}": {"theirs": "their_parts:theirs"}}
    with (
        installed(tmp_path / "site", "their-parts", {"their_parts": "def theirs(): return 3\n"}, entries),
        pytest.raises(ComponentError, match=rf"^{group}: .* of their-parts 1\.0 must return a {group}, got int$"),
    ):
        make(component_node(group, "theirs", group))


def test_data_of_the_wrong_kind_is_named_with_its_package(tmp_path: Path, workplace: Path) -> None:
    entries = {"kexp.data": {"theirs": "their_rows:theirs"}}
    with (
        installed(tmp_path / "site", "their-rows", {"their_rows": "def theirs(): return 'rows'\n"}, entries),
        pytest.raises(DataError, match=r"^data: must be made of .*got str \(from .* of their-rows 1\.0\)$"),
    ):
        kexp.run([*QUIET, "data=theirs"])


def test_a_format_of_the_wrong_kind_is_named_and_leaves_the_others(tmp_path: Path) -> None:
    source = "class Half:\n    filename = 'x'\ndef theirs(): return Half()\n"
    entries = {"kexp.format": {"theirs": "their_format:theirs"}}
    with installed(tmp_path / "site", "their-format", {"their_format": source}, entries):
        expected = re.escape("their_format:theirs of their-format 1.0 must return a kexp.persistence.Format, got Half")
        with pytest.raises(ComponentError, match=f"^save.formats: {expected} without save and load$"):
            build_format("theirs")
        assert build_format("h5").filename == "model.h5"


def test_an_activation_of_the_wrong_kind_is_refused(tmp_path: Path, workplace: Path) -> None:
    entries = {"kexp.activation": {"theirs": "their_act:theirs"}}
    with (
        installed(tmp_path / "site", "their-act", {"their_act": "def theirs(a=1): return {}\n"}, entries),
        pytest.raises(ComponentError, match=r"theirs must return a keras\.layers\.Layer, a function of x"),
    ):
        kexp.run([*QUIET, "activation=theirs"])


def test_what_a_factory_raises_keeps_its_type_and_gains_the_path(tmp_path: Path) -> None:
    source = "def theirs(k: int = 1):\n    raise ZeroDivisionError('k is no good')\n"
    entries = {"kexp.optimizer": {"theirs": "their_opt:theirs"}}
    expected = r"^optimizer: theirs \(.*their_opt\.py, line 2\) raises ZeroDivisionError: k is no good$"
    with (
        installed(tmp_path / "site", "their-opt", {"their_opt": source}, entries),
        pytest.raises(ZeroDivisionError, match=expected),
    ):
        build(component_node("optimizer", "theirs", "optimizer"))


OWN = """
import keras

def my_loss(y_true, y_pred, delta: float = 1.0):
    "Squared error, weighed."
    return delta * keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

def worst(y_true, y_pred, times: float = 1.0):
    "The largest error of a row."
    return times * keras.ops.max(keras.ops.abs(y_true - y_pred), axis=-1)

def bent(x, slope: float = 0.1):
    "Bent at 0."
    return keras.ops.maximum(x, slope * x)

class Twice(keras.layers.Layer):
    "Twice the input."
    def call(self, inputs):
        return 2.0 * inputs

def build(spec, width: int = 8):
    "Twice, then dense."
    return keras.Sequential([keras.Input(spec.input_shape), Twice(), keras.layers.Dense(width), spec.activation_layer(),
                             keras.layers.Dense(spec.units, activation=spec.output_activation)])
"""


def test_bare_functions_and_classes_of_a_user_s_own_module_work_by_reference(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss, two metrics by one function under keys of their own, activation, model; saved, and loaded again."""
    (workplace / "my_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(workplace))
    result = kexp.run(
        [
            *["data=diabetes", "loss=my_parts:my_loss", "loss.delta=0.5", "activation=my_parts:bent"],
            *["activation.slope=0.3", "model=my_parts:build", "metrics=[mean_absolute_error]", "trainer.epochs=1"],
            *["+metrics.once={name: 'my_parts:worst'}", "+metrics.thrice={name: 'my_parts:worst', times: 3.0}"],
            "trainer.verbose=0",
        ],
        folder=workplace / "run",
    )
    metrics = result.metrics
    assert metrics["test_thrice"] == pytest.approx(3.0 * metrics["test_once"], rel=1e-4)
    x = np.random.default_rng().normal(size=(3, 10)).astype(np.float32)
    loaded = kexp.load_model(result.run_id, format="h5")
    np.testing.assert_allclose(np.asarray(loaded(x)), np.asarray(result.model(x)), rtol=1e-5)
    assert loaded.layers[2].parameters == {"slope": 0.3}

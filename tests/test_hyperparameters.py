"""Functions of KerasTuner's hp: what they declare, and when it is there."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from kexp.errors import ComponentError, ConfigError
from kexp.registry.hyperparameters import Tunable, as_tunable, axes_of
from kexp.rules import check_parameter


def network(hp: Any) -> list[Any]:
    """Three kinds of conditions: a loop, an `if`, and a scope."""
    layers = [hp.Int(f"units {i}", 4, 16, step=4) for i in range(hp.Int("layers", 1, 3))]
    if hp.Boolean("dropout"):
        layers.append(hp.Float("rate", 0.1, 0.5, default=0.2))
    kind = hp.Choice("kind", ["sgd", "adam"])
    with hp.conditional_scope("kind", ["sgd"]):
        if kind == "sgd":
            layers.append(hp.Float("momentum", 0.0, 0.9))
    layers.append(hp.Float("lr", 1e-4, 1e-1, sampling="log"))
    layers.append(hp.Int("width", 8, 64, step=2, sampling="log"))
    layers.append(hp.Int("later", 1, 5, parent_name="kind", parent_values=["adam"]))
    assert hp.get("kind") == kind == hp.values["kind"]
    layers.append(hp.Fixed("fixed", 3))
    return layers


class Habit:
    def build(self, hp: Any) -> Any:
        return network(hp)


def with_settings(hp: Any, deep: bool) -> list[Any]:
    return network(hp) if deep else []


class Called:
    def __call__(self, hp: Any) -> Any:
        return network(hp)


class Trains(Habit):
    def fit(self, hp: Any, model: Any, *args: Any, **more: Any) -> Any: ...


@pytest.mark.parametrize(
    "made", [network, Habit, Habit(), Habit().build, Called(), functools.partial(with_settings, deep=True)]
)
def test_what_is_declared_has_its_default_and_its_condition(made: Any) -> None:
    tunable = as_tunable(made, "it")
    assert tunable is not None
    assert {name: each.default for name, each in tunable.space.items()} == {
        "layers": 1,
        "units_0": 4,
        "dropout": False,
        "kind": "sgd",
        "momentum": 0.0,
        "lr": 1e-4,
        "width": 8,
        "later": 1,
        "fixed": 3,
        "rate": 0.2,
        "units_1": 4,
        "units_2": 4,
    }
    assert {name: each.when for name, each in tunable.space.items() if each.when} == {
        "momentum": (("kind", ("sgd",)),),
        "later": (("kind", ("adam",)),),
        "rate": (("dropout", (True,)),),
        "units_1": (("layers", (2, 3)),),
        "units_2": (("layers", (3,)),),
    }
    assert {name: what for name, (what, _) in axes_of(tunable.space).items()} == {
        "layers": [1, 2, 3],
        "units_0": [4, 8, 12, 16],
        "dropout": [False, True],
        "kind": ["sgd", "adam"],
        "momentum": "interval(0.0,0.9)",
        "lr": "tag(log,interval(0.0001,0.1))",
        "width": [8, 16, 32, 64],
        "later": "interval(1,5)",
        "rate": "interval(0.1,0.5)",
        "units_1": [4, 8, 12, 16],
        "units_2": [4, 8, 12, 16],
    }
    assert tunable(layers=2, units_1=12, lr=0.01)[:2] == [4, 12]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [("units_0", 5, "one of 4, 8, 12, 16"), ("lr", 0.5, "at most 0.1"), ("kind", "lion", "one of sgd, adam")],
)
def test_a_value_outside_is_refused(name: str, value: Any, rule: str) -> None:
    tunable = Tunable(network, "it")
    with pytest.raises(ConfigError, match=f"model.{name}: must be .*{rule}"):
        check_parameter(f"model.{name}", value, tunable.space[name].parameter)


def test_other_functions_and_classes_are_none() -> None:
    def of_spec(spec: Any, units: int = 3) -> Any: ...

    def of_two(hp: Any, more: Any) -> Any: ...

    class Layer:
        def build(self, input_shape: Any) -> Any: ...

    assert [as_tunable(each, "it") for each in (of_spec, of_two, Layer, Layer(), 3)] == [None] * 5


def test_a_hypermodel_that_trains_by_itself_and_a_function_that_fails_are_refused_in_a_sentence() -> None:
    with pytest.raises(ComponentError, match="has a fit of its own"):
        as_tunable(Trains, "it")

    def fails(hp: Any) -> Any:
        raise ValueError("no such thing")

    with pytest.raises(ComponentError, match="it: fails as it is built: ValueError: no such thing"):
        _ = Tunable(fails, "it").space

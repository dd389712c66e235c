"""Spaces: Hydra's grammar and YAML in, axes and overrides out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kexp.config import compose
from kexp.errors import ConfigError
from kexp.registry.groups import GROUPS
from kexp.sweeps.plan.composing import Composer
from kexp.sweeps.search.space.axes import Choice, Interval, Space, Steps
from kexp.sweeps.search.space.conditions import build_space
from kexp.sweeps.search.space.grammar import read_request


def is_group(key: str) -> bool:
    return key in GROUPS or key in ("trainer", "save", "tracking", "experiment")


COMPOSER = Composer(compose, is_group)


def space_of(arguments: Sequence[str], space: Mapping[str, Any] | None = None) -> Space:
    return build_space(read_request(arguments, space, is_group=is_group), COMPOSER.config, is_group)


def axes_of(*arguments: str, space: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {axis.name: axis for axis in read_request(arguments, space, is_group=is_group).axes}


def test_grammar_gives_each_sweep_its_domain() -> None:
    axes = axes_of(
        "optimizer.learning_rate=tag(log, interval(1e-5,1e-1))",
        "model.dropout=range(0,0.5,0.1)",
        "trainer.batch_size=range(16,65,16)",
        "model.hidden=choice([64],[32,32])",
        "optimizer=sgd,adam",
        "trainer.epochs=tag(log,int(interval(1,64)))",
    )
    assert {name: axis.domain for name, axis in axes.items()} == {
        "optimizer.learning_rate": Interval(1e-5, 1e-1, log=True),
        "model.dropout": Steps(0.0, 0.4, 0.1),
        "trainer.batch_size": Steps(16, 64, 16),
        "model.hidden": Choice(("[64]", "[32,32]")),
        "optimizer": Choice(("sgd", "adam")),
        "trainer.epochs": Interval(1, 64, log=True, whole=True),
    }


def test_grammar_puts_choices_of_components_before_their_parameters() -> None:
    assert list(axes_of("optimizer.momentum=interval(0,1)", "optimizer=sgd,adam")) == [
        "optimizer",
        "optimizer.momentum",
    ]


def test_grammar_keeps_the_command_line_over_yaml() -> None:
    axes = axes_of("trainer.batch_size=16,32", space={"trainer.batch_size": "8,64", "seed": "1"})
    assert axes["trainer.batch_size"].domain == Choice(("16", "32"))


def test_grammar_takes_seeds_apart() -> None:
    assert read_request(["seed=range(3)", "optimizer=sgd,adam"]).seeds == (0, 1, 2)
    assert read_request(["seed=7", "optimizer=sgd,adam"]).fixed == ("seed=7",)


def test_range_values_have_no_binary_dust() -> None:
    assert Steps(0.0, 0.4, 0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("optimizer.learning_rate=tag(log, interval(0,1))", "must begin above 0"),
        ("optimizer.learning_rate=interval(2,1)", "must begin below its end"),
        ("optimizer.learning_rate=tag(quick, interval(1,2))", "a tag must be log, got 'quick'"),
        ("trainer.epochs=range(5,5)", "has no values"),
        ("seed=interval(0,9)", "seed=range(5)"),
    ],
)
def test_grammar_refuses(argument: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_request([argument])
    assert sentence in str(caught.value)


def test_space_drops_a_parameter_that_the_chosen_component_does_not_have() -> None:
    space = space_of(["optimizer=sgd,adam", "optimizer.momentum=0.0,0.9", "optimizer.beta_1=0.8"])
    assert [space.overrides(point) for point in space.points()] == [
        ("optimizer=sgd", "optimizer.momentum=0.0"),
        ("optimizer=sgd", "optimizer.momentum=0.9"),
        ("optimizer=adam", "optimizer.beta_1=0.8"),
    ]


def test_space_finds_a_parameter_of_a_schedule_that_is_one_of_several() -> None:
    space = space_of(["schedule=exponential_decay,cosine_decay", "optimizer.schedule.alpha=0.0,0.1"])
    conditions = {axis.name: axis.when for axis in space.axes}
    assert conditions["optimizer.schedule.alpha"] == (("schedule", ("cosine_decay",)),)


def test_space_from_yaml_gives_each_option_its_own_domain() -> None:
    space = space_of(
        ["trainer.epochs=2"],
        {
            "optimizer": {
                "sgd": {"learning_rate": "tag(log, interval(1e-3,1))", "momentum": [0.0, 0.9]},
                "adam": {"learning_rate": [0.001]},
            },
            "trainer.batch_size": "16,32",
        },
    )
    assert list(space.signature()) == [
        "optimizer",
        "optimizer.sgd.learning_rate",
        "optimizer.sgd.momentum",
        "optimizer.adam.learning_rate",
        "trainer.batch_size",
    ]
    chosen = {"optimizer": "sgd", "optimizer.sgd.learning_rate": 0.1, "optimizer.sgd.momentum": "0.9"}
    assert space.overrides(chosen) == (
        "trainer.epochs=2",
        "optimizer=sgd",
        "optimizer.learning_rate=0.1",
        "optimizer.momentum=0.9",
    )


def test_space_from_yaml_nests_components_in_nodes_that_are_no_groups() -> None:
    space = space_of([], {"model.kernel_regularizer": {"l2": {"l2": "tag(log, interval(1e-6,1e-2))"}, None: None}})
    chosen = {"model.kernel_regularizer": "l2", "model.kernel_regularizer.l2.l2": 1e-4}
    assert space.overrides(chosen) == ("model.kernel_regularizer={name:l2,l2:0.0001}",)
    assert space.overrides({"model.kernel_regularizer": "null"}) == ("model.kernel_regularizer=null",)
    assert [axis.name for axis in space.active({"model.kernel_regularizer": "null"})] == ["model.kernel_regularizer"]


def test_space_takes_whole_numbers_where_the_parameter_takes_no_others() -> None:
    space = space_of(["trainer.batch_size=interval(8,64)", "optimizer=sgd", "optimizer.momentum=interval(0,1)"])
    domains = {axis.name: axis.domain for axis in space.axes}
    assert domains == {"trainer.batch_size": Interval(8, 64, whole=True), "optimizer.momentum": Interval(0, 1)}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["optimizer=sgd,adan"], "optimizer: there is no optimizer 'adan'; did you mean 'adam'?"),
        (["optimizer=sgd,adam", "optimizer.momentom=interval(0,1)"], "did you mean 'momentum'?"),
        (["trainer.epoch=1,2"], "did you mean 'epochs'?"),
    ],
)
def test_space_refuses_what_is_no_key_of_any_choice(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(arguments)
    assert sentence in str(caught.value)


def test_space_refuses_a_parameter_that_an_option_lacks() -> None:
    with pytest.raises(ConfigError, match="momentum"):
        space_of([], {"optimizer": {"adam": {"momentum": "interval(0,1)"}}})


def test_points_refuse_an_interval() -> None:
    with pytest.raises(ConfigError, match="the grid sampler cannot list the values of an interval"):
        space_of(["optimizer.learning_rate=interval(0.1,1)"]).points()

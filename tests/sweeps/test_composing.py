"""What a sweep's trials are: Hydra's grammar, multiplied out, and each config exactly as Hydra composes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra

from kexp.config import compose, plain
from kexp.errors import ConfigError
from kexp.sweeps.plan.axes import expand, parse
from kexp.sweeps.plan.composing import Composer
from kexp.sweeps.sweep_command import opened_sweeper

KINDS = [
    [],
    ["optimizer=sgd", "seed=3"],
    ["optimizer=sgd", "optimizer.learning_rate=1e-2", "optimizer.momentum=0.9"],
    ["optimizer=sgd_nesterov", "optimizer.learning_rate=0.5"],
    ["experiment=diabetes", "loss.delta=3", "seed=7"],
    ["experiment=founding", "optimizer=adam", "trainer.epochs=2"],
    ["experiment=digits_cnn", "model.filters=[4]"],
    ["experiment=breast_cancer", "trainer.class_weight=null"],
    ["model.hidden=[64,32]", "model.dropout=0.25"],
    ["model.hidden=[]"],
    ["data=random", "data.rows=50", "data.split_seed=9"],
    ["data.split_seed=${trainer.epochs}", "trainer.epochs=4"],
    ["optimizer.learning_rate=${oc.env:KEXP_TEST_RATE}"],
    ["name=${optimizer.name}-${seed}"],
    ["name='a quoted, name'", "seed=1"],
    ['name="with = and [brackets]"'],
    ["name=null", "tracking=none"],
    ["metrics=[accuracy,auc]"],
    ["callbacks=[early_stopping]", "callbacks.early_stopping.patience=2"],
    ["+optimizer.clipnorm=1.0"],
    ["++optimizer.learning_rate=0.3"],
    ["~trainer.shuffle"],
    ["schedule=cosine_decay", "seed=2"],
    ["trainer.class_weight={0:1.0,1:2.5}"],
    ["trainer.changes={optimizer.learning_rate:{2:0.01,4:5e-3},model.dropout:{3:1}}", "seed=4"],
    ["trainer.changes={}"],
    ["activation=leaky_relu", "activation.negative_slope=0.1"],
    ["save=none", "save.model=true"],
    ["trainer.shuffle=false", "trainer.batch_size=8"],
    ["sweep.seeds=5", "sweep.fail_fast=true"],
]


@pytest.fixture
def sweeper(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("KEXP_TEST_RATE", "0.125")
    with opened_sweeper([]) as (opened, _):
        yield opened


def combinations(sweeper: Any, *arguments: str) -> list[tuple[str, ...]]:
    return expand(parse(sweeper._arguments(list(arguments)), sweeper.hydra_context.config_loader))


def values(sweeper: Any, argument: str) -> list[str]:
    return [each[0].partition("=")[2] for each in combinations(sweeper, argument)]


def composed_by_hydra(overrides: list[str]) -> dict[str, Any]:
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        return plain(compose(overrides))
    finally:
        GlobalHydra.instance().hydra = before


def test_composer_gives_what_hydra_composes(sweeper: Any) -> None:
    loader = sweeper.hydra_context.config_loader
    groups = set(loader.list_groups(""))
    composer = Composer(
        lambda overrides: loader.load_sweep_config(sweeper.config, list(overrides)),
        lambda key: key in groups or "/" in key,
    )
    for overrides in KINDS:
        expected = composed_by_hydra(overrides)
        for _ in range(2):  # the second time from the base that the first has kept
            assert composer.config(overrides) == expected, overrides


def test_composer_keeps_what_the_environment_holds_out_of_the_source(sweeper: Any) -> None:
    loader = sweeper.hydra_context.config_loader
    composer = Composer(lambda overrides: loader.load_sweep_config(sweeper.config, list(overrides)), lambda key: False)
    composed = composer.config(["optimizer.learning_rate=${oc.env:KEXP_TEST_RATE}"])
    assert composed["optimizer"]["learning_rate"] in (0.125, "0.125")
    assert composed.unresolved is not None
    assert composed.unresolved["optimizer"]["learning_rate"] == "${oc.env:KEXP_TEST_RATE}"
    assert composer.config(["seed=3"]).unresolved is None


def test_grammar_of_hydra(sweeper: Any) -> None:
    assert values(sweeper, "optimizer=sgd,adam") == ["sgd", "adam"]
    assert values(sweeper, "optimizer=choice(sgd,adam)") == ["sgd", "adam"]
    assert values(sweeper, "seed=range(3)") == ["0", "1", "2"]
    assert values(sweeper, "seed=range(1,8,3)") == ["1", "4", "7"]
    assert values(sweeper, "seed=sort(3,1,2)") == ["1", "2", "3"]
    assert values(sweeper, "model.hidden=[64],[64,32]") == ["[64]", "[64,32]"]
    assert values(sweeper, "name='a,b',c") == ["'a,b'", "c"]
    assert set(values(sweeper, "optimizer=glob(ada*,exclude=adamw)")) >= {"adam", "adagrad", "adadelta", "adamax"}
    assert "adamw" not in values(sweeper, "optimizer=glob(ada*,exclude=adamw)")


@pytest.mark.parametrize(
    ("written", "numpy"),
    [
        ("linspace(0,1,11)", np.linspace(0, 1, 11)),
        ("linspace(0.5,-0.5,3)", np.linspace(0.5, -0.5, 3)),
        ("linspace(2,3,1)", np.linspace(2, 3, 1)),
        ("logspace(-4,-2,16)", np.logspace(-4, -2, 16)),
        ("geomspace(1e-4,1e-2,16)", np.geomspace(1e-4, 1e-2, 16)),
        ("geomspace(-8,-1,4)", np.geomspace(-8, -1, 4)),
    ],
)
def test_values_in_even_steps_and_ratios_are_those_of_numpy(sweeper: Any, written: str, numpy: Any) -> None:
    found = values(sweeper, f"optimizer.learning_rate={written}")
    assert np.allclose([float(each) for each in found], numpy, rtol=5e-6, atol=0)
    assert max(map(len, found)) <= len("-0.000123456")
    assert values(sweeper, "seed=int(linspace(0,10,3))") == ["0", "5", "10"]


def test_axes_are_multiplied_out_the_last_fastest(sweeper: Any) -> None:
    assert combinations(sweeper, "optimizer=sgd,adam", "seed=1,2", "trainer.epochs=3") == [
        (f"optimizer={optimizer}", f"seed={seed}", "trainer.epochs=3")
        for optimizer in ("sgd", "adam")
        for seed in (1, 2)
    ]


def test_seeds_are_added_to_any_sweep(sweeper: Any) -> None:
    found = combinations(sweeper, "optimizer=sgd,adam", "sweep.seeds=3")
    assert [each[-1] for each in found] == ["seed=0", "seed=1", "seed=2"] * 2
    with pytest.raises(ConfigError, match=r"sweep\.seeds: cannot be given together with seed="):
        combinations(sweeper, "sweep.seeds=3", "seed=1")


def test_sweep_written_in_yaml(workplace: Path) -> None:
    with opened_sweeper(["+sweep=learning_rates", "seed=1"]) as (sweeper, arguments):
        found = combinations(sweeper, *arguments)
        assert len(found) == 5
        assert found[0] == ("optimizer.learning_rate=0.0001", "+sweep=learning_rates", "seed=1")
    with opened_sweeper(["+sweep=learning_rates", "optimizer.learning_rate=0.5"]) as (sweeper, arguments):
        assert len(combinations(sweeper, *arguments)) == 1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("optimizer.learning_rate=interval(0,1)", "a grid cannot list the values of an interval"),
        ("seed=range(0)", "the sweep over it has no values"),
        ("seed=range(", "seed: the bracket ( is not closed, got range(; as one text, in quotes: "),
        ("seed=range(1,x)", "seed=range(1,x): mismatch type argument stop: str"),
        ("seed=logspac(0,1,2)", "there is no function 'logspac'; did you mean 'logspace'?"),
        ("seed=logspace(0,1)", "seed=logspace(0,1): missing a required argument: 'num'"),
        ("seed=linspace(0,1,0)", "num must be at least 1, got 0"),
        ("seed=geomspace(0,1,2)", "start and stop must be of the same sign, and not 0, got 0 and 1"),
        ("optimizer=glob(zzz*)", "the sweep over it has no values"),
    ],
)
def test_axis_that_is_none_is_refused(sweeper: Any, argument: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        combinations(sweeper, argument)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_invalid_trial_says_why(sweeper: Any) -> None:
    trials = sweeper.plan(["optimizer.lerning_rate=1,2"])
    assert {trial.state for trial in trials} == {"INVALID"}
    assert "did you mean 'learning_rate'" in trials[0].reason
    states = {trial.overrides[0]: trial for trial in sweeper.plan(["optimizer=sgd,addam", "seed=0"])}
    assert states["optimizer=sgd"].state == "WAITING"
    assert states["optimizer=addam"].state == "INVALID"
    assert "addam" in states["optimizer=addam"].reason


def test_plan_fingerprints_trials_by_what_changes_results(sweeper: Any) -> None:
    trials = sweeper.plan(["seed=0,1", "name=a,b", "data.feed=numpy,tfdata"])
    assert len(trials) == 8
    assert len({trial.fingerprint for trial in trials}) == 2

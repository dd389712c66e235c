"""Samplers and pruners by name."""

from __future__ import annotations

import importlib.util
from typing import Any

import optuna
import pytest

from kexp.errors import ConfigError
from kexp.sweeps.search.samplers import PRUNERS, SAMPLERS, choose_pruner, choose_sampler


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "gp"])
def test_sampler_is_made_by_name(name: str) -> None:
    assert isinstance(choose_sampler(name).make(3), getattr(optuna.samplers, SAMPLERS[name]))


@pytest.mark.parametrize(
    ("other", "name"), [("TPE", "tpe"), ("CMA-ES", "cmaes"), ("nsga-ii", "nsga2"), ("cma", "cmaes")]
)
def test_sampler_has_the_names_that_people_write(other: str, name: str) -> None:
    assert choose_sampler(other).name == name


def test_sampler_takes_parameters() -> None:
    assert choose_sampler({"name": "tpe", "n_startup_trials": 3}).make(0)._n_startup_trials == 3


@pytest.mark.parametrize("name", [name for name in PRUNERS if name not in ("percentile", "threshold")])
def test_pruner_is_made_by_name(name: str) -> None:
    chosen = choose_pruner(name, epochs=20)
    assert chosen is not None
    assert isinstance(chosen.make(), getattr(optuna.pruners, PRUNERS[name]))


def test_hyperband_goes_by_the_epochs() -> None:
    chosen = choose_pruner("hyperband", epochs=27)
    assert chosen is not None
    assert chosen.make()._max_resource == 27


@pytest.mark.parametrize("what", [None, "none"])
def test_no_pruner_is_none(what: Any) -> None:
    assert choose_pruner(what, epochs=1) is None


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("tpee", "hydra.sweeper.sampler: there is no sampler 'tpee'; did you mean 'tpe'?"),
        ({"name": "tpe", "n_start": 1}, "there is no parameter of tpe 'n_start'; did you mean 'n_startup_trials'?"),
        ({"name": "nsga2", "population_size": 1}, "nsga2 refuses its parameters"),
        (3, "must be the name of a sampler"),
    ],
)
def test_sampler_is_refused(what: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_sampler(what)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("medium", "hydra.sweeper.pruner: there is no pruner 'medium'; did you mean 'median'?"),
        ({"name": "percentile"}, "percentile refuses its parameters"),
        ({"name": "percentile", "percentile": 140}, "percentile refuses its parameters"),
    ],
)
def test_pruner_is_refused(what: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_pruner(what, epochs=5)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("name", "package"), [("gp", "torch"), ("cmaes", "cmaes")])
def test_sampler_whose_package_is_missing_says_how_to_install_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda each: None if each == package else found(each))
    with pytest.raises(ConfigError, match=rf"{name} needs the package {package}, .*pip install 'kexp\[optuna"):
        choose_sampler(name)


def test_several_objectives_are_refused_by_what_takes_one() -> None:
    with pytest.raises(ConfigError, match="cmaes supports one objective"):
        choose_sampler("cmaes", objectives=2)
    with pytest.raises(ConfigError, match="median supports one objective"):
        choose_pruner("median", epochs=5, objectives=2)

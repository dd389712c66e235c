"""Chooses Optuna's samplers and pruners by name: `tpe`, or with parameters `{name: tpe, n_startup_trials: 5}`."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kexp.errors import ConfigError, UnknownNameError, first_line
from kexp.sweeps.search.optuna_package import import_optuna, no_warnings

__all__ = ["PRUNERS", "SAMPLERS", "Chosen", "choose_pruner", "choose_sampler"]

SAMPLERS = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
    "random": "RandomSampler",
    "grid": "RandomSampler",  # the points of a grid are enqueued in order, so nothing is sampled
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
    "qmc": "QMCSampler",
}
PRUNERS = {
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "successive_halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "threshold": "ThresholdPruner",
    "wilcoxon": "WilcoxonPruner",
}
_ALIASES = {
    "cma": "cmaes", "nsgaii": "nsga2", "nsgaiii": "nsga3", "gaussianprocess": "gp", "asha": "successive_halving",
    "successivehalving": "successive_halving",
}  # fmt: skip
_ONE_OBJECTIVE = {"cmaes"}
# Optuna imports these packages only after enough trials have finished, so they are checked before.
_NEEDS = {"cmaes": ("cmaes", "pip install 'kexp[optuna]'"), "gp": ("torch", "pip install 'kexp[optuna,torch]'")}
_RESERVED = frozenset({"self", "seed", "warn_independent_sampling", "warn_asynchronous_seeding"})


@dataclass(frozen=True)
class Chosen:
    """A chosen sampler or pruner.

    Attributes:
        name: its name in the config.
        make: creates it, given further arguments such as `seed=...`.
        parameters: the parameters that the user gave.
    """

    name: str
    make: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)


def choose_sampler(choice: Any, *, objectives: int = 1) -> Chosen:
    """Chooses a sampler, and creates it once to check its parameters.

    Args:
        choice: the name, or a mapping with `name` and parameters.
        objectives: how many objectives the search has.

    Raises:
        UnknownNameError: no sampler has the name, or the sampler has no such parameter.
        ConfigError: a package is not installed, a value is refused, or the sampler supports only one objective.
    """
    optuna, key = import_optuna(), "hydra.sweeper.sampler"
    name, parameters = _name_and_parameters(choice, key, "sampler", SAMPLERS)
    if objectives > 1 and name in _ONE_OBJECTIVE:
        raise ConfigError(
            f"{key}: {name} supports one objective, but sweep.objective names {objectives}; use nsga2 or tpe"
        )
    kind = getattr(optuna.samplers, SAMPLERS[name])

    def make(seed: int | None = None) -> Any:
        silenced = {each: False for each in inspect.signature(kind).parameters if each.startswith("warn_")}
        return _create(key, name, kind, {**parameters, **silenced, "seed": seed})

    package, install = _NEEDS.get(name, ("optuna", ""))
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"{key}: {name} needs the package {package}, which is not installed: {install}")
    _check_parameters(key, name, kind, {} if name == "grid" else parameters)
    make(0)
    return Chosen(name, make, parameters)


def choose_pruner(choice: Any, *, epochs: int, objectives: int = 1) -> Chosen | None:
    """Chooses a pruner, and creates it once to check its parameters.

    Args:
        choice: the name, or a mapping with `name` and parameters; None or `none` for no pruner.
        epochs: the most epochs of a trial, from which Hyperband computes its brackets.
        objectives: how many objectives the search has.

    Returns:
        The pruner; None for no pruner.

    Raises:
        UnknownNameError: no pruner has the name, or the pruner has no such parameter.
        ConfigError: a value is refused, or there are several objectives.
    """
    if choice is None or choice == "none":
        return None
    optuna, key = import_optuna(), "hydra.sweeper.pruner"
    name, parameters = _name_and_parameters(choice, key, "pruner", [*PRUNERS, "none"])
    if objectives > 1:
        raise ConfigError(f"{key}: {name} supports one objective, but sweep.objective names {objectives}")
    kind = getattr(optuna.pruners, PRUNERS[name])
    _check_parameters(key, name, kind, parameters)
    given = {"max_resource": epochs, **parameters} if name == "hyperband" else parameters

    def make() -> Any:
        return _create(key, name, kind, given)

    make()
    return Chosen(name, make, parameters)


def _name_and_parameters(choice: Any, key: str, noun: str, known: Any) -> tuple[str, dict[str, Any]]:
    """Returns the registered name and the parameters of a sampler or pruner.

    Raises:
        ConfigError: the setting has another form.
        UnknownNameError: there is none of this name.
    """
    parameters = dict(choice) if isinstance(choice, Mapping) else {"name": choice}
    name = parameters.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError.at(key, f"must be the name of a {noun}, or a mapping with a name and parameters", choice)
    folded = {each.replace("_", ""): each for each in known} | _ALIASES
    plain = name.lower().replace("-", "").replace("_", "")
    found = folded.get(plain)
    if found not in known:
        raise UnknownNameError(key, noun, name, known)
    return str(found), parameters


def _check_parameters(key: str, name: str, kind: Any, parameters: Mapping[str, Any]) -> None:
    known = [each for each in inspect.signature(kind).parameters if each not in _RESERVED]
    for parameter in parameters:
        if parameter not in known:
            raise UnknownNameError(f"{key}.{parameter}", f"parameter of {name}", parameter, known)


def _create(key: str, name: str, kind: Any, parameters: Mapping[str, Any]) -> Any:
    try:
        with no_warnings():
            return kind(**parameters)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {name} refuses its parameters: {first_line(error)}") from error

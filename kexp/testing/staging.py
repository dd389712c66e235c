"""Stages an experiment around one component, small enough to train in about a second."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from kexp import registry, traits
from kexp.errors import ConfigError
from kexp.registry import Component
from kexp.registry.groups import GROUPS
from kexp.schema import Experiment, check, defaults_of
from kexp.signatures import REQUIRED
from kexp.testing.files import parameters_of_file
from kexp.testing.values import example
from kexp.training import loaded_backend

__all__ = ["available_backends", "current_backend", "example_parameters", "node_of", "stage"]

# Small data sets with a loss and the arguments of `targets_problem`; the first that suits a component is used.
_GROUNDS = (
    ("iris", "sparse_categorical_crossentropy", "classification", 3),
    ("iris", "categorical_crossentropy", "classification", 3),
    ("breast_cancer", "binary_crossentropy", "classification", 2),
    ("breast_cancer", "hinge", "classification", 2),
    ("diabetes", "mean_squared_error", "regression", 1),
)
_SMALL = (
    "tracking=none",
    "model.hidden=[8]",
    "trainer.epochs=1",
    "trainer.batch_size=16",
    "trainer.steps_per_epoch=4",
    "trainer.validation_split=0",
    "trainer.steps_per_execution=1",
    "trainer.jit_compile=false",
    "trainer.verbose=0",
)


def node_of(component: Component, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a component's config node: its defaults, overridden by `parameters`."""
    # The seed of the split follows the experiment's by an interpolation, which only Hydra resolves.
    seed = {"split_seed": 0} if component.group == "data" else {}
    return {**defaults_of(component), **seed, **parameters}


def stage(
    group: str, name: str, parameters: Mapping[str, Any], overrides: Sequence[str] = (), *, backend: str | None = None
) -> Experiment:
    """Returns a checked experiment with the component in it, on data and with a loss that suit it.

    Args:
        group: the component's group.
        name: its registered name, or a reference.
        parameters: values of its parameters; the others have their defaults.
        overrides: further overrides, as on the command line; they take precedence.
        backend: the Keras backend; this process's by default.

    Raises:
        ConfigError: there is no such component, or its parameters break a rule.
    """
    component = registry.find(group, name)
    staged = (_staged(component, parameters, (*_SMALL, *ground, *overrides), backend) for ground in _grounds(component))
    first = next(staged)
    return next((each for each in (first, *staged) if _suits(each)), first) if _is_tried(component) else first


def example_parameters(component: Component, folder: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns values for the parameters that a component requires.

    Args:
        component: any component.
        folder: an existing folder; a file for kexp's own data components is written there.
        given: values of parameters, kept as they are.

    Raises:
        ConfigError: no value can be derived from a parameter's annotation.
    """
    found = dict(given or {})
    if component.group == "data" and component.distribution == registry.OURSELVES and "path" not in found:
        found |= parameters_of_file(component.name, folder)
    for parameter in component.signature().parameters:
        if parameter.default is REQUIRED and parameter.name not in found:
            value = example(parameter)
            if value is None:
                raise ConfigError(
                    f"{component.group}={component.name}: needs a value for {parameter.name}, as in kexp plugin check "
                    f"{component.group} {component.name} {parameter.name}=VALUE"
                )
            found[parameter.name] = value
    return found


def current_backend() -> str:
    """Returns Keras' backend in this process, or the one that Keras would be imported with."""
    return loaded_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))


def available_backends() -> list[str]:
    """Returns the installed backends."""
    return [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name) is not None]


@lru_cache(maxsize=8)
def _composed_once(overrides: tuple[str, ...]) -> dict[str, Any]:
    from kexp.config import compose, plain

    return plain(compose(overrides))


def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    import copy

    return copy.deepcopy(_composed_once(overrides))


def _staged(
    component: Component, parameters: Mapping[str, Any], overrides: tuple[str, ...], backend: str | None
) -> Experiment:
    config = _composed(overrides)
    config["backend"] = backend or current_backend()
    _put(config, component, node_of(component, parameters))
    return check(config)


def _grounds(component: Component) -> list[list[str]]:
    """Returns overrides that choose the data, and the loss, around a component; the most suitable first."""
    group = component.group
    if group == "data":
        return [[]]
    if group in ("layer", "model"):
        return [["data=digits"]]  # its rows can be reshaped to images and sequences
    if _is_tried(component):  # the loss beside a metric follows the targets that the metric takes
        return [[f"data={data}"] for data in dict.fromkeys(data for data, *_ in _GROUNDS)]
    if group not in ("loss", "metrics"):
        return [["data=iris", *(["trainer.validation_split=0.2"] if group == "callbacks" else [])]]  # to be monitored
    wanted = traits.of(component)
    suitable = [
        [f"data={data}", *([f"loss={loss}"] if group == "metrics" else [])]
        for data, loss, task, outputs in _GROUNDS
        if traits.targets_problem(
            loss,
            wanted if group == "loss" else traits.of(registry.find("loss", loss)),
            {component.name: wanted} if group == "metrics" else {},
            task,
            outputs,
        )
        is None
    ]
    return [*suitable, ["data=iris"]]


def _is_tried(component: Component) -> bool:
    """Returns whether only a trial call shows which targets a loss or a metric takes."""
    return component.group in ("loss", "metrics") and not traits.says_targets(component)


def _suits(experiment: Experiment) -> bool:
    """Returns whether the data suit the loss and the metrics."""
    from kexp.experiment import prepare

    try:
        prepare(experiment)
    except ConfigError:
        return False
    return True


def _put(config: dict[str, Any], component: Component, node: dict[str, Any]) -> None:
    """Puts the component's node into the config."""
    group = component.group
    if group == "schedule":
        config["optimizer"]["schedule"] = node
    elif GROUPS[group].several:
        config[group] = {"checked": node}
    elif group == "layer":
        # Flatten turns any output of the layer into rows; the output layer is added behind it.
        model = defaults_of(registry.find("model", "sequential"))
        config["model"] = {**model, "layers": [node, {"name": "Flatten"}]}
    elif group in ("initializer", "regularizer", "constraint"):
        config["model"][f"kernel_{group}"] = node
    elif group == "format":
        config["save"]["formats"] = [component.name]
    else:
        config[group] = node

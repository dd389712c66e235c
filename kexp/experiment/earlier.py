"""What an experiment takes over from the run that its model begins with (`model=saved`)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError
from kexp.registry import OURSELVES
from kexp.schema import Experiment

if TYPE_CHECKING:
    import keras

    from kexp.data import Data, DataSpec

__all__ = [
    "NEW",
    "Earlier",
    "begins_with_run",
    "begun_with",
    "earlier_run",
    "encoded_as",
    "in_words",
    "is_rate",
    "settled_on",
    "take_optimizer",
]

NEW = "_kexp_new"  # a model's attribute: the names of the layers that an earlier run's model did not have


@dataclass(frozen=True)
class Earlier:
    """A run that another's model begins with.

    Attributes:
        run_id: its id.
        label: how messages call it.
        epochs: the epoch after which it ended.
        optimizer: the name of its optimizer.
        mixed_precision: whether it was trained so.
        targets: what its targets were: the task, the classes, where in a row they stand, their names.
        encoding: what its table's columns are encoded by; None where there was no table.
    """

    run_id: str
    label: str
    epochs: int
    optimizer: str
    mixed_precision: bool
    targets: tuple[Any, ...]
    encoding: Mapping[str, Any] | None = None


def earlier_run(experiment: Experiment) -> Earlier | None:
    """The run that the experiment's model begins with; None for a model that begins anew.

    Raises:
        ConfigError: there is no such run, or it saved no model.
    """
    if not begins_with_run(experiment):
        return None
    found: Earlier = _store().earlier(experiment.model.parameters, experiment.tracking.uri)
    return found


def begins_with_run(experiment: Experiment) -> bool:
    """Whether the experiment's model is an earlier run's."""
    component = experiment.model.component
    return component.distribution == OURSELVES and component.name == "saved"


def encoded_as(data: Data, earlier: Earlier | None) -> Data:
    """Data that is encoded as the earlier run encoded its own, in place of learning it anew.

    Raises:
        ConfigError: the data has not what the run's encoding needs.
    """
    if earlier is None or not earlier.encoding or data.encoder is None:
        return data
    as_taught = getattr(data.encoder, "as_taught", None)
    if as_taught is None:
        raise ConfigError(f"model.run: {earlier.label} encoded its data in a way that is not this data's")
    return replace(data, encoder=as_taught(earlier.encoding, earlier.label))


def settled_on(experiment: Experiment, earlier: Earlier, spec: DataSpec) -> Experiment:
    """The experiment with the run's whole id, and a new output where the data's targets are others than the run's.

    Raises:
        ConfigError: they are, and the config keeps the output; or another precision is asked for.
    """
    node, now = experiment.model, targets_of(spec.task, spec.classes, spec.positions, spec.target_names)
    if experiment.trainer.mixed_precision != earlier.mixed_precision:
        raise ConfigError.at(
            "trainer.mixed_precision", f"must be as in {earlier.label}", experiment.trainer.mixed_precision
        )
    new_output = node.parameters["new_output"]
    if now != earlier.targets and new_output == "auto":
        new_output = True
    if now != earlier.targets and new_output is False:
        raise ConfigError(
            f"model.new_output: must be auto or true where the targets are others than those of {earlier.label}: "
            f"{_in_words(now)} here, {_in_words(earlier.targets)} there"
        )
    parameters = {**node.parameters, "run": earlier.run_id, "new_output": new_output}
    return replace(experiment, model=replace(node, parameters=parameters))


def goes_on(experiment: Experiment, earlier: Earlier) -> bool:
    """Whether training goes on where the run ended, its optimizer's state included."""
    parameters = experiment.model.parameters
    return (
        experiment.trainer.initial_epoch > 0
        and experiment.optimizer.name == earlier.optimizer
        and parameters["trainable"] == "all"
        and parameters["new_output"] is not True
    )


def take_optimizer(experiment: Experiment, earlier: Earlier, model: keras.Model) -> None:
    """Gives the compiled model the state of the run's optimizer, where training goes on where the run ended."""
    if goes_on(experiment, earlier):
        _store().take_optimizer(earlier.run_id, model)


def begun_with(experiment: Experiment, earlier: Earlier | None, model: keras.Model) -> list[Any]:
    """The variables of a built model that have their values from the run that it begins with."""
    if earlier is None:
        return []
    new = getattr(model, NEW, ())
    found = [variable for layer in model.layers if layer.name not in new for variable in layer.variables]
    if goes_on(experiment, earlier):
        found += [variable for variable in model.optimizer.variables if not is_rate(variable)]
    return found


def is_rate(variable: keras.Variable) -> bool:
    """Whether a variable of an optimizer is its learning rate, which is the config's and no state."""
    return str(variable.path).endswith("/learning_rate")


def _store() -> Any:
    """The component's own module: reading the store stands above this layer."""
    return importlib.import_module("kexp.stored.beginning")


def in_words(experiment: Experiment, earlier: Earlier) -> str:
    """What there is to tell of the beginning."""
    epochs = f"{earlier.epochs} epoch{'s' if earlier.epochs != 1 else ''}"
    said = f"begins with the weights of {earlier.label}, trained for {epochs}"
    if experiment.model.parameters["new_output"] is True:
        said += ", and a new output"
    if experiment.trainer.initial_epoch:
        said += ", and its optimizer's state" if goes_on(experiment, earlier) else ", and a new optimizer"
    return said


def targets_of(task: str, classes: Any, positions: Any, names: Any) -> tuple[Any, ...]:
    """What makes a model's output another's: names of classes and columns, and where in a row they stand."""
    return task, tuple(classes or ()), tuple(positions), tuple(names or ())


def _in_words(targets: tuple[Any, ...]) -> str:
    task, classes, positions, names = targets
    listed = list(classes or names)
    at = f" at {' x '.join(map(str, positions))} places" if positions else ""
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return f"{task}{' of ' if listed else ''}{', '.join(map(str, listed[:5]))}{more}{at}"

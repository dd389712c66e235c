"""Starts an experiment from the model of an earlier run (`model=saved`)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError
from kexp.registry import OURSELVES
from kexp.schema import Experiment
from kexp.system.wording import counted

if TYPE_CHECKING:
    import keras

    from kexp.data import Data, DataSpec

__all__ = [
    "NEW_LAYERS",
    "Earlier",
    "adjust_to",
    "begins_with_run",
    "describe",
    "earlier_run",
    "inherited_variables",
    "is_rate",
    "restore_optimizer",
    "reuse_encoding",
]

NEW_LAYERS = "_kexp_new"  # attribute of a model: the names of its layers that the earlier run's model does not have


@dataclass(frozen=True)
class Earlier:
    """The earlier run whose model an experiment starts from.

    Attributes:
        run_id: its MLflow run id.
        label: its name in messages.
        epochs: its last epoch.
        optimizer: the name of its optimizer.
        mixed_precision: whether it was trained with mixed precision.
        targets: its targets as `targets_of` describes them: task, classes, positions and names.
        encoding: the encoding of its table's columns; None if its data was not a table.
    """

    run_id: str
    label: str
    epochs: int
    optimizer: str
    mixed_precision: bool
    targets: tuple[Any, ...]
    encoding: Mapping[str, Any] | None = None


def earlier_run(experiment: Experiment) -> Earlier | None:
    """Returns the run that the experiment's model starts from, or None for a new model.

    Raises:
        ConfigError: the run does not exist, or has no saved model.
    """
    if not begins_with_run(experiment):
        return None
    found: Earlier = _store().earlier(experiment.model.parameters, experiment.tracking.uri)
    return found


def begins_with_run(experiment: Experiment) -> bool:
    """Returns whether the experiment's model is that of an earlier run."""
    component = experiment.model.component
    return component.distribution == OURSELVES and component.name == "saved"


def reuse_encoding(data: Data, earlier: Earlier | None) -> Data:
    """Returns the data with the encoding of the earlier run, instead of one learned from its own rows.

    Raises:
        ConfigError: the encoding does not suit the data.
    """
    if earlier is None or not earlier.encoding or data.encoder is None:
        return data
    with_encoding = getattr(data.encoder, "with_encoding", None)
    if with_encoding is None:
        raise ConfigError(f"model.run: the encoding of {earlier.label} does not suit this kind of data")
    return replace(data, encoder=with_encoding(earlier.encoding, earlier.label))


def adjust_to(experiment: Experiment, earlier: Earlier, spec: DataSpec) -> Experiment:
    """Returns the experiment with the run's full id, and with a new output layer if the targets differ from the run's.

    Args:
        experiment: the experiment that starts from the run.
        earlier: the run.
        spec: the spec of the experiment's data.

    Raises:
        ConfigError: the targets differ but the config keeps the output, or the precision differs.
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
            f"model.new_output: must be auto or true, because the targets differ from those of {earlier.label}: "
            f"{_describe_targets(now)} here, {_describe_targets(earlier.targets)} there"
        )
    parameters = {**node.parameters, "run": earlier.run_id, "new_output": new_output}
    return replace(experiment, model=replace(node, parameters=parameters))


def continues_run(experiment: Experiment, earlier: Earlier) -> bool:
    """Returns whether training continues where the run ended, with the state of its optimizer."""
    parameters = experiment.model.parameters
    return (
        experiment.trainer.initial_epoch > 0
        and experiment.optimizer.name == earlier.optimizer
        and parameters["trainable"] == "all"
        and parameters["new_output"] is not True
    )


def restore_optimizer(experiment: Experiment, earlier: Earlier, model: keras.Model) -> None:
    """Restores the state of the run's optimizer in the compiled model, if training continues where the run ended."""
    if continues_run(experiment, earlier):
        _store().restore_optimizer(earlier.run_id, model)


def inherited_variables(experiment: Experiment, earlier: Earlier | None, model: keras.Model) -> list[Any]:
    """Returns the variables of a built model whose values come from the earlier run."""
    if earlier is None:
        return []
    new = getattr(model, NEW_LAYERS, ())
    found = [variable for layer in model.layers if layer.name not in new for variable in layer.variables]
    if continues_run(experiment, earlier):
        found += [variable for variable in model.optimizer.variables if not is_rate(variable)]
    return found


def is_rate(variable: keras.Variable) -> bool:
    """Returns whether an optimizer's variable is the learning rate, which the config sets."""
    return str(variable.path).endswith("/learning_rate")


def _store() -> Any:
    """Imports the module that reads the earlier run. It is imported by name, because it is in a layer above."""
    return importlib.import_module("kexp.stored.beginning")


def describe(experiment: Experiment, earlier: Earlier) -> str:
    """Describes for the user what the model takes over from the earlier run."""
    epochs = counted(earlier.epochs, "epoch")
    notice = f"begins with the weights of {earlier.label}, trained for {epochs}"
    if experiment.model.parameters["new_output"] is True:
        notice += ", and a new output"
    if experiment.trainer.initial_epoch:
        notice += ", and its optimizer's state" if continues_run(experiment, earlier) else ", and a new optimizer"
    return notice


def targets_of(task: str, classes: Any, positions: Any, names: Any) -> tuple[Any, ...]:
    """Returns what identifies a model's output: the task, the classes, the positions in a row, the target names."""
    return task, tuple(classes or ()), tuple(positions), tuple(names or ())


def _describe_targets(targets: tuple[Any, ...]) -> str:
    task, classes, positions, names = targets
    listed = list(classes or names)
    at = f" at {' x '.join(map(str, positions))} places" if positions else ""
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return f"{task}{' of ' if listed else ''}{', '.join(map(str, listed[:5]))}{more}{at}"

"""The numbers of a config that lanes of one program may differ in: read by config path, changed, masked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from kexp.errors import ConfigError, UnknownNameError
from kexp.rules import KERAS_RANGES, Range, check_value
from kexp.schema import Experiment, Node

__all__ = [
    "RATE",
    "ConfigPath",
    "changes_of",
    "masked_sections",
    "numbers_after",
    "numbers_of",
    "probe_numbers",
    "with_numbers",
]

ConfigPath = tuple[Any, ...]
"""Keys and list positions: `("optimizer", "learning_rate")`, `("model", "layers", 2, "rate")`."""

RATE: ConfigPath = ("optimizer", "learning_rate")
_SECTIONS = ("optimizer", "loss", "model", "activation")


def numbers_of(experiment: Experiment) -> dict[ConfigPath, float | int]:
    """Returns the numbers that may be inputs of a program, by config path.

    Left out are:

    - zeros, because for Keras zero mostly means "without it", which is another program;
    - whole numbers outside of the optimizer and its schedule, because they are sizes or axes;
    - under mixed precision everything but the learning rate, because a constant and an input have different dtypes.
    """
    found = {}
    # A loss that the model's own code compiles is made from the model's numbers, which are then constants.
    constant = ("model", "loss") if experiment.loss is not None and experiment.loss.component.part else ()
    for section in _sections(experiment):
        if section in constant:
            continue
        node = getattr(experiment, section)
        for path, value in _leaves(node, (section,)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value == 0 or not math.isfinite(value):
                continue
            if isinstance(value, int) and section != "optimizer":
                continue
            if experiment.trainer.mixed_precision and path != RATE:
                continue
            found[path] = value
    return found


def changes_of(experiment: Experiment) -> dict[ConfigPath, dict[int, float]]:
    """Returns the scheduled changes of `trainer.changes`: config path -> completed epochs -> the value from then on.

    Raises:
        UnknownNameError: a key does not name a number that may be an input of a program.
        ConfigError: an epoch is not between two epochs of the training, or a value breaks its parameter's rule.
    """
    changes = experiment.trainer.changes
    if not changes:
        return {}
    known = {".".join(map(str, path)): path for path in numbers_of(experiment)}
    for key, values in changes.items():
        if key not in known:
            raise UnknownNameError(f"trainer.changes.{key}", "number that can change", key, known)
        allowed = KERAS_RANGES.get(key.rpartition(".")[2], Range())
        for epoch, value in values.items():
            if not isinstance(epoch, int) or not 0 < epoch < experiment.trainer.epochs:
                rule = f"must name epochs after which others follow, 1 to {experiment.trainer.epochs - 1}"
                raise ConfigError.at(f"trainer.changes.{key}", rule, epoch)
            check_value(f"trainer.changes.{key}.{epoch}", value, Annotated[float, allowed])
    return {known[key]: dict(values) for key, values in changes.items()}


def numbers_after(experiment: Experiment, epoch: int) -> dict[ConfigPath, float | int]:
    """Returns the numbers by config path, with the changes of `trainer.changes` that are due after `epoch` epochs."""
    numbers = numbers_of(experiment)
    for path, values in changes_of(experiment).items():
        due = [each for each in values if each <= epoch]
        if due:
            numbers[path] = values[max(due)]
    return numbers


def with_numbers(experiment: Experiment, values: Mapping[ConfigPath, Any]) -> Experiment:
    """Returns a copy of an experiment with other values at some config paths."""
    changed: dict[str, Node] = {}
    for path, value in values.items():
        section = path[0]
        changed[section] = _replaced(changed.get(section, getattr(experiment, section)), path[1:], value)
    return replace(experiment, **changed)  # type: ignore[arg-type]


def probe_numbers(values: Mapping[ConfigPath, float | int]) -> dict[ConfigPath, float | int]:
    """Returns other numbers for a second build: floats are shrunk, each by its own factor; integers grow.

    Floats keep their sign and come nearer to zero, so that most limits still hold. A learning rate is at most 0.01,
    because results cannot be compared if training diverges.
    """
    other: dict[ConfigPath, float | int] = {}
    for position, (path, value) in enumerate(values.items()):
        if isinstance(value, int):
            other[path] = value + 1 + position
        else:
            moderate = min(value, 0.01) if path[-1] == "learning_rate" else value
            other[path] = moderate * (1.0 - 0.2 * (1.0 + (position + 1) / 37.0))
    return other


def masked_sections(experiment: Experiment, values: Mapping[ConfigPath, Any]) -> dict[str, Any]:
    """Returns the config of the sections that decide what is built, with a mark in place of each given number."""
    masked = with_numbers(experiment, {path: f"<{type(value).__name__}>" for path, value in values.items()})
    return {
        section: None if (node := getattr(masked, section)) is None else node.as_dict()
        for section in _sections(experiment)
    }


def _sections(experiment: Experiment) -> tuple[str, ...]:
    """Returns the sections that decide what is built. A model that compiles its own optimizer decides that too."""
    return tuple(each for each in _SECTIONS if each != "optimizer" or not experiment.optimizer_of_model)


def _leaves(value: Any, path: ConfigPath) -> Iterator[tuple[ConfigPath, Any]]:
    """Yields each value in a part of a config that is not a container, with its path."""
    if isinstance(value, Node):
        yield from _leaves({**value.parameters, **value.common}, path)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, (*path, key))
    elif isinstance(value, (list, tuple)):
        for position, each in enumerate(value):
            yield from _leaves(each, (*path, position))
    else:
        yield path, value


def _replaced(value: Any, path: ConfigPath, new: Any) -> Any:
    """Returns a copy of a part of a config with `new` at a path within it."""
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(value, Node):
        if first in value.parameters:
            return replace(value, parameters={**value.parameters, first: _replaced(value.parameters[first], rest, new)})
        return replace(value, common={**value.common, first: _replaced(value.common[first], rest, new)})
    if isinstance(value, Mapping):
        return {**value, first: _replaced(value[first], rest, new)}
    return [_replaced(each, rest, new) if position == first else each for position, each in enumerate(value)]

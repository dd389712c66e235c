"""The numbers of a config that lanes may differ in: where they stand, and the config with others in their place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from kexp.errors import ConfigError, UnknownNameError
from kexp.rules import KERAS_RANGES, Range, check_value
from kexp.schema import Experiment, Node

__all__ = ["RATE", "Key", "changes_of", "marked", "moved", "numbers_after", "numbers_of", "with_numbers"]

Key = tuple[Any, ...]  # a path into the config: ("optimizer", "learning_rate"), ("model", "layers", 2, "rate")

RATE: Key = ("optimizer", "learning_rate")
SECTIONS = ("optimizer", "loss", "model", "activation")


def numbers_of(experiment: Experiment) -> dict[Key, float | int]:
    """Every number that may be an input of a program, by its path.

    Zero is left out: to Keras it mostly means "none of it", which is another program. Whole numbers are left out where
    they are sizes and axes, which is everywhere but in optimizers and schedules. Under mixed precision nothing but
    seeds and the learning rate differ, for there a constant and an input have different types.
    """
    found = {}
    # A loss that the model's own code compiles is made of the model's numbers, which are constants then.
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


def changes_of(experiment: Experiment) -> dict[Key, dict[int, float]]:
    """The numbers that `trainer.changes` names, by path: epochs done -> the value from then on.

    Raises:
        UnknownNameError: a key is no number that may be an input of a program.
        ConfigError: an epoch is none between two of the training's.
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


def numbers_after(experiment: Experiment, epoch: int) -> dict[Key, float | int]:
    """The numbers as they are once so many epochs are done."""
    numbers = numbers_of(experiment)
    for path, values in changes_of(experiment).items():
        due = [each for each in values if each <= epoch]
        if due:
            numbers[path] = values[max(due)]
    return numbers


def with_numbers(experiment: Experiment, values: Mapping[Key, Any]) -> Experiment:
    """The experiment with other numbers at some paths."""
    changed: dict[str, Node] = {}
    for path, value in values.items():
        section = path[0]
        changed[section] = _put(changed.get(section, getattr(experiment, section)), path[1:], value)
    return replace(experiment, **changed)  # type: ignore[arg-type]


def moved(values: Mapping[Key, float | int], share: float = 0.4) -> dict[Key, float | int]:
    """Other numbers, each of its own factor, of the same sign and nearer to zero, so that most limits hold.

    The learning rate is a moderate one in any case, for nothing can be compared where training diverges.
    """
    other: dict[Key, float | int] = {}
    for position, (path, value) in enumerate(values.items()):
        if isinstance(value, int):
            other[path] = value + 1 + position
        else:
            moderate = min(value, 0.01) if path[-1] == "learning_rate" else value
            other[path] = moderate * (1.0 - share * (1.0 + (position + 1) / 37.0) / 2.0)
    return other


def marked(experiment: Experiment, values: Mapping[Key, Any]) -> dict[str, Any]:
    """The sections' config with a mark in place of each of the given numbers."""
    marks = {path: f"<{type(value).__name__}>" for path, value in values.items()}
    marked_up = with_numbers(experiment, marks)
    return {
        section: None if getattr(marked_up, section) is None else getattr(marked_up, section).as_dict()
        for section in _sections(experiment)
    }


def _sections(experiment: Experiment) -> tuple[str, ...]:
    """Those that decide what is built: an optimizer that the model's own code compiles follows from the model's."""
    return tuple(each for each in SECTIONS if each != "optimizer" or not experiment.optimizer_of_model)


def _leaves(value: Any, path: Key) -> Iterator[tuple[Key, Any]]:
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


def _put(value: Any, path: Key, new: Any) -> Any:
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(value, Node):
        if first in value.parameters:
            return replace(value, parameters={**value.parameters, first: _put(value.parameters[first], rest, new)})
        return replace(value, common={**value.common, first: _put(value.common[first], rest, new)})
    if isinstance(value, Mapping):
        return {**value, first: _put(value[first], rest, new)}
    return [_put(each, rest, new) if position == first else each for position, each in enumerate(value)]

"""The numbers of a config that lanes may differ in: where they stand, and the config with others in their place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kexp.schema import Experiment, Node

__all__ = ["Key", "marked", "moved", "numbers_of", "with_numbers"]

Key = tuple[Any, ...]  # a path into the config: ("optimizer", "learning_rate"), ("model", "layers", 2, "rate")

SECTIONS = ("optimizer", "loss", "model", "activation")


def numbers_of(experiment: Experiment) -> dict[Key, float | int]:
    """Every number that may be an input of a program, by its path.

    Zero is left out: to Keras it mostly means "none of it", which is another program. Whole numbers are left out where
    they are sizes and axes, which is everywhere but in optimizers and schedules. Under mixed precision nothing but
    seeds and the learning rate differ, for there a constant and an input have different types.
    """
    found = {}
    for section in _sections(experiment):
        node = getattr(experiment, section)
        for path, value in _leaves(node, (section,)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value == 0 or not math.isfinite(value):
                continue
            if isinstance(value, int) and section != "optimizer":
                continue
            if experiment.trainer.mixed_precision and path != ("optimizer", "learning_rate"):
                continue
            found[path] = value
    return found


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

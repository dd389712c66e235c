"""The declaration of a component's traits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

__all__ = [
    "ATTRIBUTE",
    "CLASSES",
    "Inputs",
    "Targets",
    "Task",
    "Traits",
    "declare",
]

Targets = Literal["class_index", "one_hot", "binary", "signed", "labels", "dense", "any"]

Inputs = Literal["any", "images", "sequences"]

Task = Literal["classification", "regression", "labels"]

ATTRIBUTE, CLASSES = "kexp_traits", "kexp_classes"

_TARGETS, _INPUTS = get_args(Targets), get_args(Inputs)


@dataclass(frozen=True)
class Traits:
    """The data that a component needs.

    Attributes:
        targets: "class_index": whole numbers, shape (batch,). "one_hot": a column a class. "binary": one column of
            0 and 1 for two classes, one-hot for more. "signed": the same of -1 and 1. "labels": several in a row, shape
            (batch, labels), which are a regression's targets here. "dense": regression targets as they are, classes
            one-hot. "any": whatever the loss trains on (metrics only).
        regression_targets: for a regression: "dense", or "binary", "signed" or "non_negative" where they must lie in
            0..1, in -1..1, or not below 0; "shares" where a row must sum to 1, as soft labels do.
        output: activation of the output layer for a classification.
        regression_output: activation of the output layer for a regression.
        inputs: "images" (height, width, channels), "sequences" (steps, features), or "any".
        task: the only task that it is for; None for any.
    """

    targets: Targets = "any"
    regression_targets: Literal["dense", "binary", "signed", "non_negative", "shares"] = "dense"
    output: str = "softmax"
    regression_output: str = "linear"
    inputs: Inputs = "any"
    task: Task | None = None

    def targets_for(self, task: str) -> Targets | Literal["non_negative", "shares"]:
        """Returns the form of targets that a loss takes."""
        if task == "regression" and (self.task is None or self.regression_targets == "shares"):
            return self.regression_targets
        if task == "labels" and self.targets in ("one_hot", "signed"):
            return "signed" if self.regression_targets == "signed" else "dense"
        return "dense" if self.targets in ("any", "labels") else self.targets


Factory = TypeVar("Factory", bound=Callable[..., Any])


def declare(
    *,
    targets: Targets | None = None,
    output: str | None = None,
    regression_output: str | None = None,
    inputs: Inputs | None = None,
    task: Task | None = None,
    classes: Sequence[str] = (),
) -> Callable[[Factory], Factory]:
    """Declares on a component's factory the data that it needs, and the classes that saved models need.

    Args:
        targets: as in `Traits`.
        output: as in `Traits`.
        regression_output: as in `Traits`.
        inputs: as in `Traits`.
        task: as in `Traits`.
        classes: `module:Class` of each of your Keras classes in a saved model, if the factory imports them only when it
            is called. They are imported before the model is loaded.

    Raises:
        ValueError: a value is not one of those in `Traits`.
    """
    if targets is not None and targets not in _TARGETS:
        raise ValueError(f"targets must be one of {', '.join(_TARGETS)}, got {targets!r}")
    if inputs is not None and inputs not in _INPUTS:
        raise ValueError(f"inputs must be one of {', '.join(_INPUTS)}, got {inputs!r}")
    if task is None and targets in ("class_index", "one_hot"):
        task = "classification"
    given = {
        "targets": targets,
        "regression_targets": targets if targets in ("binary", "signed") else None,
        "output": output,
        "regression_output": regression_output,
        "inputs": inputs,
        "task": task,
    }
    told = {key: value for key, value in given.items() if value is not None}

    def mark(factory: Factory) -> Factory:
        if told:
            setattr(factory, ATTRIBUTE, Traits(**told))  # type: ignore[arg-type]
        setattr(factory, CLASSES, tuple(classes))
        return factory

    return mark

"""The component groups: their names, the types that their components return, and their common parameters.

A group has one name everywhere: `optimizer` is the config group, the config node, and in `kexp.optimizer` the
entry-point group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kexp.errors import UnknownNameError
from kexp.signatures import Parameter

__all__ = ["GROUPS", "Group", "find_group", "group_of_parameter", "key_of"]


@dataclass(frozen=True)
class Group:
    """A kind of component.

    Attributes:
        name: the group's name.
        makes: `module:Class` whose instance a component must return; empty if any callable is accepted or the group's
            own code checks.
        common: parameters of every component that kexp itself interprets.
        own: further parameters of components by reference or from other packages.
        passes: parameters of Keras' base class that reach components through `**kwargs`.
        called_with: the arguments with which Keras calls a component. A function of just these, under any names, is
            itself the component (`def my_loss(target, output)`); `kexp.registry.reading` has the rule.
        optional: how many of the last of these arguments a function may omit.
        given: parameters that kexp passes to factories that declare them; never config keys.
        package: the config node of its options, if that is not the group's name.
        several: whether several options can be chosen at once, each under its own key.
    """

    name: str
    makes: str = ""
    common: tuple[Parameter, ...] = ()
    own: tuple[Parameter, ...] = ()
    passes: tuple[str, ...] = ()
    called_with: tuple[str, ...] = ()
    optional: int = 0
    given: tuple[str, ...] = ()
    package: str = ""
    several: bool = False

    @property
    def noun(self) -> str:
        """The noun for one component, in messages."""
        return self.name.removesuffix("s") if self.several else self.name

    @property
    def least_called_with(self) -> int:
        """The least number of Keras' arguments that a function must take to be itself a component."""
        return len(self.called_with) - self.optional

    @property
    def one(self) -> str:
        """The noun for one component with its article, in messages."""
        if self.noun == "data":
            return self.noun
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"

    def node(self, option: str) -> str:
        """Returns the config node of an option; that of a reference has the attribute's name, since keys have no colon.

        Args:
            option: a registered name or a reference.
        """
        if self.several:
            return f"{self.name}.{option.rpartition(':')[2].rpartition('.')[2]}"
        return self.package or self.name


def _parameter(name: str, default: Any, annotation: Any, help: str) -> Parameter:
    return Parameter(name, default, annotation, help)


_TARGETS = _parameter(
    "targets",
    None,
    Literal["class_index", "one_hot", "binary", "signed"] | None,
    "The form of a classification's targets; by default found by a trial call on a few rows.",
)
_ALL = (
    Group(
        "optimizer",
        makes="keras.optimizers:Optimizer",
        common=(
            _parameter("lr", None, float | None, "Another spelling of learning_rate."),
            _parameter("decay", 0.0, float, "Time-based decay: the rate at step t is learning_rate / (1 + decay * t)."),
            _parameter(
                "schedule", None, str | dict | None, "A learning-rate schedule, chosen by the group `schedule`."
            ),
        ),
    ),
    Group(
        "schedule",
        makes="keras.optimizers.schedules:LearningRateSchedule",
        called_with=("step",),
        package="optimizer.schedule",
    ),
    Group("loss", called_with=("y_true", "y_pred"), own=(_TARGETS,)),
    Group(
        "metrics",
        common=(
            _parameter("weighted", False, bool, "Measured with the weights of rows and classes: `weighted_metrics`."),
        ),
        called_with=("y_true", "y_pred"),
        own=(_TARGETS,),
        several=True,
    ),
    Group("activation", called_with=("x",)),
    Group("layer", makes="keras.layers:Layer", passes=("input_shape", "input_dim", "dtype", "trainable", "autocast")),
    Group("model", makes="keras:Model", given=("spec",)),
    Group(
        "data",
        common=(
            _parameter("feed", "numpy", Literal["numpy", "tfdata"], "How batches reach the model: numpy or tfdata."),
            _parameter("test_split", 0.2, float, "Share of the rows in the test split, in [0, 1)."),
            _parameter("split_seed", "${seed}", int, "Seed of the split; by default the experiment's seed."),
            _parameter(
                "split",
                None,
                Literal["random", "time", "group"] | None,
                "How rows are split: random, time (the last rows are the test) or group; by default as the data asks.",
            ),
            _parameter(
                "folds", None, int | None, "Number of folds of the rows outside the test split; one is the validation."
            ),
            _parameter("fold", None, int | None, "The fold that is the validation split, from 0."),
        ),
    ),
    Group("callbacks", makes="keras.callbacks:Callback", several=True),
    Group("initializer", makes="keras.initializers:Initializer", called_with=("shape", "dtype"), optional=1),
    Group("regularizer", makes="keras.regularizers:Regularizer", called_with=("x",)),
    Group("constraint", makes="keras.constraints:Constraint", called_with=("w",)),
    Group("format"),
)

GROUPS = {group.name: group for group in _ALL}


def find_group(name: str, key: str = "GROUP") -> Group:
    """Returns the group with a name.

    Args:
        name: the group's name.
        key: the config key or argument for messages.

    Raises:
        UnknownNameError: there is no such group.
    """
    if name not in GROUPS:
        raise UnknownNameError(key, "group", name, GROUPS)
    return GROUPS[name]


def group_of_parameter(parameter: str) -> str | None:
    """Returns the group of a layer's parameter: `kernel_initializer` -> `initializer`; None for plain values."""
    if parameter in ("layer", "layers", "forward_layer", "backward_layer", "cell", "cells"):
        return "layer"
    for group in ("initializer", "regularizer", "constraint", "activation"):
        if parameter == group or parameter.endswith("_" + group):
            return group
    return None


def key_of(override: str) -> str:
    """Returns the key of an override, without Hydra's prefixes for adding and removing."""
    return override.partition("=")[0].lstrip("+~")

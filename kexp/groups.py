"""The component groups: what each is called, what its members make, and what every member takes besides its own.

One word everywhere: the group `optimizer` is the config group `optimizer`, the config node `optimizer` and the
entry-point group `kexp.optimizer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kexp.errors import UnknownNameError
from kexp.signatures import Parameter

__all__ = ["GROUPS", "Group", "group_of_parameter", "the_group"]


@dataclass(frozen=True)
class Group:
    """A kind of component.

    Attributes:
        name: the group's one name.
        makes: `module:Class` that a member must return an instance of; empty where any callable will do or where
            the owner of the group checks for itself.
        common: parameters that every member has and kexp itself interprets.
        own: parameters that a member of another package, or by reference, has besides.
        passes: parameters of Keras' base class that reach members through `**kwargs`.
        called_with: what Keras calls a member with. A function of just these, whatever their names, is a member itself
            (`def my_loss(target, output)`); `reading` has the rule.
        optional: how many of these, the last ones, a function need not take.
        given: parameters that kexp fills in where a factory declares them; never config keys.
        package: the config node its options land in, where that is not the group's name.
        several: options nest under their own names, so that several can be chosen at once.
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
        """One member, in a sentence."""
        return self.name.removesuffix("s") if self.several else self.name

    @property
    def least_called_with(self) -> int:
        """How many of the parameters that Keras fills in a function must take to be a member itself."""
        return len(self.called_with) - self.optional

    @property
    def one(self) -> str:
        """One member with its article, in a sentence."""
        if self.noun == "data":
            return self.noun
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"

    def node(self, option: str) -> str:
        """The config node that an option fills. A reference's is called by its attribute: keys have no colon."""
        if self.several:
            return f"{self.name}.{option.rpartition(':')[2].rpartition('.')[2]}"
        return self.package or self.name


def _parameter(name: str, default: Any, annotation: Any, help: str) -> Parameter:
    return Parameter(name, default, annotation, help)


_TARGETS = _parameter(
    "targets",
    None,
    Literal["class_index", "one_hot", "binary", "signed"] | None,
    "The form of a classification's targets; found out by a try on a few rows unless set.",
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
    Group("metrics", called_with=("y_true", "y_pred"), own=(_TARGETS,), several=True),
    Group("activation", called_with=("x",)),
    Group("layer", makes="keras.layers:Layer", passes=("input_shape", "input_dim", "dtype", "trainable", "autocast")),
    Group("model", makes="keras:Model", given=("spec",)),
    Group(
        "data",
        common=(
            _parameter("feed", "numpy", Literal["numpy", "tfdata"], "How batches reach the model: numpy or tfdata."),
            _parameter("test_split", 0.2, float, "Share of the rows kept for the test, in [0, 1)."),
            _parameter("split_seed", "${seed}", int, "Seed of the split; the experiment's seed unless set."),
            _parameter(
                "split",
                None,
                Literal["random", "time", "group"] | None,
                "How parts are cut: random, time (the test part is the last) or group; as the data asks unless set.",
            ),
            _parameter(
                "folds", None, int | None, "Folds that the rows besides the test part are cut into; one validates."
            ),
            _parameter("fold", None, int | None, "Which fold validates, from 0."),
        ),
    ),
    Group("callbacks", makes="keras.callbacks:Callback", several=True),
    Group("initializer", makes="keras.initializers:Initializer", called_with=("shape", "dtype"), optional=1),
    Group("regularizer", makes="keras.regularizers:Regularizer", called_with=("x",)),
    Group("constraint", makes="keras.constraints:Constraint", called_with=("w",)),
    Group("format"),
)

GROUPS = {group.name: group for group in _ALL}


def the_group(name: str, key: str = "GROUP") -> Group:
    """The group of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in GROUPS:
        raise UnknownNameError(key, "group", name, GROUPS)
    return GROUPS[name]


def group_of_parameter(parameter: str) -> str | None:
    """The group that a layer's parameter draws on: `kernel_initializer` -> initializer; None for plain values."""
    if parameter in ("layer", "layers", "forward_layer", "backward_layer", "cell", "cells"):
        return "layer"
    for group in ("initializer", "regularizer", "constraint", "activation"):
        if parameter == group or parameter.endswith("_" + group):
            return group
    return None

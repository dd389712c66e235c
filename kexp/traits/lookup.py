"""Look up a component's traits: as declared, or by the rules on Keras' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from kexp.registry import OURSELVES, Component
from kexp.signatures import to_snake_case
from kexp.traits.declaring import ATTRIBUTE, Targets, Traits
from kexp.traits.keras_rules import rules_of_loss, rules_of_metric

if TYPE_CHECKING:
    from kexp.schema import Node

__all__ = [
    "of",
    "of_node",
    "says_targets",
]

# The activation of the output layer that goes with a classification's targets.
_OUTPUTS = {"class_index": "softmax", "one_hot": "softmax", "binary": "sigmoid", "signed": "linear"}


def of(component: Component, parameters: Mapping[str, Any] | None = None, targets: str | None = None) -> Traits:
    """Return the traits of a component.

    Args:
        component: a loss, a metric or a model.
        parameters: its parameters. With `from_logits`, two classes need two outputs, because metrics compare a single
            output with 0.5, not with 0.
        targets: the form of a classification's targets, if the config sets it.

    Raises:
        ComponentError: the component cannot be imported.
    """
    traits = _declaration_of(component) or _by_name(component)
    if targets in _OUTPUTS:
        output = traits.output if targets == traits.targets else _OUTPUTS[targets]
        traits = replace(traits, targets=cast(Targets, targets), output=output)
    if traits.targets == "binary" and component.group == "loss" and (parameters or {}).get("from_logits"):
        return replace(traits, targets="one_hot")
    return traits


def of_node(node: Node) -> Traits:
    """Return the traits of a loss or a metric in the config."""
    return of(node.component, node.parameters, node.common.get("targets"))


def says_targets(component: Component) -> bool:
    """Return whether the form of targets is known: the component declares it, or it is Keras'."""
    if component.distribution == OURSELVES:
        return True
    return _declaration_of(component) is not None or _keras_name(component) is not None


def _declaration_of(component: Component) -> Traits | None:
    """Return the traits that a component's factory declares; None if it declares none."""
    if component.exported and component.distribution == OURSELVES:
        return None
    declared = getattr(component.load(), ATTRIBUTE, None)
    return declared if isinstance(declared, Traits) else None


def _by_name(component: Component) -> Traits:
    name = component.name if component.distribution == OURSELVES else _keras_name(component)
    if component.group == "loss":
        return rules_of_loss(name) if name is not None else Traits(targets="dense")
    if component.group == "metrics" and name is not None:
        return rules_of_metric(name)
    return Traits()


def _keras_name(component: Component) -> str | None:
    """Return Keras' name of a loss or metric, if it is a class or function of Keras, or an object of such a class."""
    if component.group not in ("loss", "metrics"):
        return None
    made = component.load()
    kind = made if hasattr(made, "__name__") else type(made)
    if getattr(kind, "__module__", "").startswith(("keras.", "keras.src.")) and kind.__name__ not in _WRAPPERS:
        return to_snake_case(kind.__name__)
    return None


_WRAPPERS = ("LossFunctionWrapper", "MeanMetricWrapper", "Mean", "Sum")  # of functions that may be the user's

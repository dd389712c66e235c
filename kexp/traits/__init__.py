"""The traits of losses, metrics and models: the data that they need, as declared or by rules on Keras' names.

A plugin declares it on the factory:

    @kexp.declare(targets="one_hot", output="softmax")
    def my_loss(gamma: float = 2.0): ...

The traits of Keras' exports follow from their names, without importing them. A loss without a declaration or such a
name takes targets as numbers; such a metric is not checked. Nothing here imports Keras or NumPy.
"""

from __future__ import annotations

from kexp.traits.custom_objects import classes_of, function_key
from kexp.traits.declaring import Traits, declare
from kexp.traits.fit import WITHOUT_ACTIVATION, choices_for, inputs_problem, loss_beside, output_for, targets_problem
from kexp.traits.lookup import of, of_node, says_targets

__all__ = [
    "WITHOUT_ACTIVATION",
    "Traits",
    "choices_for",
    "classes_of",
    "declare",
    "function_key",
    "inputs_problem",
    "loss_beside",
    "of",
    "of_node",
    "output_for",
    "says_targets",
    "targets_problem",
]

"""Layers that learn from the training rows before training (`layer.adapt`), and how far lanes can share the result."""

from __future__ import annotations

from typing import Any

from kexp.fused.functional.blueprint import Blueprint

__all__ = ["depends_on_rows", "needs_rebuild"]


def needs_rebuild(blueprint: Blueprint, adapted: tuple[int, ...]) -> bool:
    """Returns whether first values that no initializer gives depend on more than the training rows.

    Each trial's model must then be built to get them. They depend on the rows alone if they are variables of adapted
    layers that take the rows themselves, or the outputs of layers without weights.

    Args:
        blueprint: the model.
        adapted: positions in its state of these variables.
    """
    import keras

    from kexp.model import adaptable

    if not adapted:
        return False
    of_adapted_layers: set[int] = set()
    weights_before = False
    layers = adaptable(blueprint.model)
    in_order = isinstance(blueprint.model, keras.Sequential) and all(each in blueprint.model.layers for each in layers)
    for layer in blueprint.model.layers if in_order else layers:
        if layer in layers:
            if weights_before or not (in_order or (layer.built and _takes_rows(layer, blueprint.model))):
                return True
            of_adapted_layers |= {id(variable) for variable in layer.variables}
        elif layer.variables:
            weights_before = True
    variables = blueprint.variables
    return not all(id(variables[position]) in of_adapted_layers for position in adapted)


def _takes_rows(layer: Any, model: Any) -> bool:
    """Returns whether a layer of a functional model is connected to the model's first input."""
    return getattr(model, "inputs", None) is not None and any(
        node.input_tensors and node.input_tensors[0] is model.inputs[0] for node in layer._inbound_nodes
    )


def depends_on_rows(blueprint: Blueprint) -> bool:
    """Returns whether a program contains, as constants, what a layer learned from the rows.

    Lanes of such a program must have the same training rows. Only `Normalization` keeps what it learns in variables.
    """
    import keras

    from kexp.model import adaptable

    for layer in adaptable(blueprint.model):
        normalization = isinstance(layer, keras.layers.Normalization)
        if not normalization or (layer.input_mean is None and not isinstance(layer.mean, keras.Variable)):
            return True
    return False

"""Layers that learn from the training rows themselves before training: what of that a lane's start must be given."""

from __future__ import annotations

from typing import Any

from kexp.fused.functional.blueprint import Blueprint

__all__ = ["depends_on_rows", "needs_rebuild"]


def needs_rebuild(blueprint: Blueprint, given: tuple[int, ...]) -> bool:
    """Whether what `start` cannot make depends on more than the training rows."""
    import keras

    from kexp.model import adaptable

    if not given:
        return False
    fitted: set[int] = set()
    weights_before = False
    fits = adaptable(blueprint.model)
    in_order = isinstance(blueprint.model, keras.Sequential) and all(each in blueprint.model.layers for each in fits)
    for layer in blueprint.model.layers if in_order else fits:
        if layer in fits:
            if weights_before or not (in_order or (layer.built and _takes_rows(layer, blueprint.model))):
                return True
            fitted |= {id(variable) for variable in layer.variables}
        elif layer.variables:
            weights_before = True
    variables = blueprint.variables
    return not all(id(variables[position]) in fitted for position in given)


def _takes_rows(layer: Any, model: Any) -> bool:
    """Whether a layer of a graph is given the rows themselves."""
    return getattr(model, "inputs", None) is not None and any(
        node.input_tensors and node.input_tensors[0] is model.inputs[0] for node in layer._inbound_nodes
    )


def depends_on_rows(blueprint: Blueprint) -> bool:
    """Whether what a layer learns from the rows is part of the program, so that lanes must share them."""
    import keras

    from kexp.model import adaptable

    for layer in adaptable(blueprint.model):
        normalization = isinstance(layer, keras.layers.Normalization)
        if not normalization or (layer.input_mean is None and not isinstance(layer.mean, keras.Variable)):
            return True
    return False

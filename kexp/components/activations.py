"""Activations in a form that models save and load: a name, or a layer if they have parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from kexp.components.functions import function_of, register_function
from kexp.errors import ComponentError
from kexp.serving import parts
from kexp.signatures import REQUIRED, Signature

if TYPE_CHECKING:
    import keras

__all__ = ["as_layer", "make_activation", "parametric_activation"]

# Activations that Keras also has as a layer, which takes the parameters and loads anywhere.
_LAYERS = {"relu": "ReLU", "elu": "ELU", "leaky_relu": "LeakyReLU", "softmax": "Softmax"}


def make_activation(
    name: str, function: Callable[..., Any], signature: Signature, parameters: Mapping[str, Any]
) -> str | Callable[[], keras.layers.Layer]:
    """Makes an activation that is a function usable in a model.

    Args:
        name: its registered name, or a reference.
        function: Keras' function of that name, or another function of one argument.
        signature: its parameters besides the input.
        parameters: values of them.

    Returns:
        The name, for a Keras activation with its default parameters; else a function that makes a new layer.
    """
    import keras

    of_keras = getattr(keras.activations, name, None) if name.isidentifier() else None
    if of_keras is not function:
        return functools.partial(_parametric, register_function("activation", name, function), dict(parameters))
    defaults = {p.name: p.default for p in signature.parameters}
    default = all(value == defaults.get(key, REQUIRED) for key, value in parameters.items())
    if default and name != parts.HALVES:
        return name
    if name in _LAYERS:
        return functools.partial(getattr(keras.layers, _LAYERS[name]), **parameters)
    return functools.partial(_parametric, name, dict(parameters))


@functools.cache
def parametric_activation() -> type[keras.layers.Layer]:
    """Returns the layer class `kexp>ParametricActivation`: an activation by its registered name, with parameters."""
    import keras

    made = parts.parametric_activation(lambda name: function_of("activation", name))
    return cast("type[keras.layers.Layer]", keras.saving.register_keras_serializable("kexp")(made))


def _parametric(name: str, parameters: Mapping[str, Any]) -> keras.layers.Layer:
    return parametric_activation()(name, parameters)


def as_layer(made: Any, name: str, factory: Callable[..., Any], parameters: Mapping[str, Any]) -> keras.layers.Layer:
    """Converts the result of an activation's factory to a layer.

    Args:
        made: a layer, a function of one argument, or Keras' name of one.
        name: the factory's name.
        factory: the factory; saved files refer to it if they cannot refer to `made`.
        parameters: what the factory was called with.

    Raises:
        ComponentError: `made` is something else.
    """
    import keras

    if isinstance(made, keras.layers.Layer):
        return made
    if not isinstance(made, str) and not callable(made):
        raise ComponentError(
            f"activation: {name} must return a keras.layers.Layer, a function of x or its name, "
            f"got {type(made).__name__}"
        )
    takes_components = any(isinstance(value, Mapping) for value in parameters.values())  # and a file has their configs
    by_name = isinstance(made, str) or made is getattr(keras.activations, getattr(made, "__name__", ""), None)
    if by_name or takes_components:
        return keras.layers.Activation(made)
    return _parametric(register_function("activation", name, parts.from_factory(factory)), parameters)

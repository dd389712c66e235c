"""Activations as models carry them: by name, or as a layer where they have parameters, so that models save and load."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from kexp import registry, signatures, traits
from kexp.errors import ComponentError

if TYPE_CHECKING:
    import keras

__all__ = ["make_activation", "parametric_activation"]

# Activations that are a Keras layer as well, which takes the parameters and loads anywhere.
_LAYERS = {"relu": "ReLU", "elu": "ELU", "leaky_relu": "LeakyReLU", "softmax": "Softmax"}

_HALVES = "glu"  # one half of its input gates the other; Keras' own layers take the shape of any activation to stay


def make_activation(
    name: str, function: Callable[..., Any], parameters: Mapping[str, Any]
) -> str | Callable[[], keras.layers.Layer]:
    """What a model needs to apply an activation.

    Args:
        name: its registered name.
        function: Keras' function of that name, or another function of x.
        parameters: what to call it with besides x.

    Returns:
        The name, for a Keras activation with its default parameters; else a function that makes a new layer.
    """
    import keras

    ours = getattr(keras.activations, name, None) if name.isidentifier() else None
    if ours is not function:
        return functools.partial(_custom, name, function, dict(parameters))
    defaults = {p.name: p.default for p in signatures.of_callable(function).parameters}
    default = all(value == defaults.get(key, signatures.REQUIRED) for key, value in parameters.items())
    if default and name != _HALVES:
        return name
    if name in _LAYERS:
        return functools.partial(getattr(keras.layers, _LAYERS[name]), **parameters)
    return functools.partial(_parametric, name, dict(parameters))


def _function(name: str) -> Callable[..., Any]:
    """The function of x that a saved layer names: Keras' own, an installed package's, or one that this process has
    chosen by reference. A reference in a file is not followed by itself: reading a file must import nothing."""
    import keras

    found = getattr(keras.activations, name, None) or keras.saving.get_registered_object(traits.activation_key(name))
    if found is None and ":" not in name:
        found = registry.find("activation", name).load()
    if found is None:
        raise ComponentError(f"activation: {name} is not known here; import it and hand it in as a custom object")
    return cast(Callable[..., Any], found)


@functools.cache
def parametric_activation() -> type[keras.layers.Layer]:
    """The layer `kexp>ParametricActivation`: an activation by its registered name, with its parameters."""
    import keras

    @keras.saving.register_keras_serializable("kexp")
    class ParametricActivation(keras.layers.Layer):  # type: ignore[misc]
        """Applies the activation of that name with the given parameters; the shape stays, but for glu's axis."""

        def __init__(self, function: str, parameters: Mapping[str, Any], **options: Any) -> None:
            super().__init__(**options)
            self.function, self.parameters = function, dict(parameters)
            self._applied = _function(function)
            self.supports_masking = True

        def call(self, inputs: Any) -> Any:
            return self._applied(inputs, **self.parameters)

        def compute_output_shape(self, input_shape: Any) -> Any:
            shape = list(input_shape)
            if self.function == _HALVES:
                axis = self.parameters.get("axis", -1)
                if shape[axis] is not None and shape[axis] % 2:
                    raise ValueError(f"{_HALVES} halves axis {axis}, whose size must be even, got {shape[axis]}")
                shape[axis] = shape[axis] and shape[axis] // 2
            return tuple(shape)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "function": self.function, "parameters": self.parameters}

    return ParametricActivation


def _parametric(name: str, parameters: Mapping[str, Any]) -> keras.layers.Layer:
    return parametric_activation()(name, parameters)


def _custom(name: str, function: Callable[..., Any], parameters: Mapping[str, Any]) -> keras.layers.Layer:
    """A layer of somebody's own: a layer class, a factory of a layer, or a function of x with parameters after it.

    The function goes into saved models by its registered name, so that they load wherever its package is installed.
    """
    import keras

    declared = signatures.of_callable(function).parameters
    if all(p.name in parameters or p.default is not signatures.REQUIRED for p in declared):
        made = function(**parameters)
        if isinstance(made, keras.layers.Layer):
            return made
        if not isinstance(made, str) and not callable(made):
            raise ComponentError(
                f"activation: {name} must return a keras.layers.Layer, a function of x or its name, "
                f"got {type(made).__name__}"
            )
        return keras.layers.Activation(made)
    if ":" in name:
        keras.saving.get_custom_objects()[traits.activation_key(name)] = function
    return _parametric(name, parameters)

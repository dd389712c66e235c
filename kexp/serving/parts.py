"""The classes of saved models that Keras does not have: activations with parameters, initializers and the like."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

__all__ = ["HALVES", "from_factory", "parametric_activation", "stand_ins"]

HALVES = "glu"  # it halves its input; Keras' own layers assume that an activation keeps the shape


def parametric_activation(function_of: Callable[[str], Callable[..., Any]]) -> type[Any]:
    """Returns the layer class `kexp>ParametricActivation`: an activation by its registered name, with parameters.

    Args:
        function_of: returns the function of a name.
    """
    import keras

    class ParametricActivation(keras.layers.Layer):  # type: ignore[misc]
        """Applies an activation with parameters. Only glu changes the shape."""

        def __init__(self, function: str, parameters: Mapping[str, Any], **options: Any) -> None:
            super().__init__(**options)
            self.function, self.parameters = function, dict(parameters)
            self._applied = function_of(function)
            self.supports_masking = True

        def call(self, inputs: Any) -> Any:
            return self._applied(inputs, **self.parameters)

        def compute_output_shape(self, input_shape: Any) -> Any:
            shape = list(input_shape)
            if self.function == HALVES:
                axis = self.parameters.get("axis", -1)
                if shape[axis] is not None and shape[axis] % 2:
                    raise ValueError(f"{HALVES} halves axis {axis}, whose size must be even, got {shape[axis]}")
                shape[axis] = shape[axis] and shape[axis] // 2
            return tuple(shape)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "function": self.function, "parameters": self.parameters}

    return ParametricActivation


def from_factory(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Returns an activation as a function of x and of its factory's settings."""

    def applied(x: Any, **settings: Any) -> Any:
        return factory(**settings)(x)

    applied.__module__ = getattr(factory, "__module__", "")  # a partial has no name
    applied.__qualname__ = getattr(factory, "__qualname__", "")
    applied.factory = factory  # type: ignore[attr-defined]
    return applied


def import_object(module: str, name: str) -> Any:
    """Returns the object with a dotted name in a module."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def stand_ins(functions: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Returns name in model files -> class, for kexp's own classes. They load a model where kexp is not installed.

    Initializers, regularizers and constraints do nothing, because the weights come from the file.

    Args:
        functions: activation -> (module, name) of its function, for activations that are not Keras' own. A third item,
            "made", means that the name is that of a factory which returns the function.
    """
    import keras

    def function_of(name: str) -> Callable[..., Any]:
        if name in functions:
            module, place, *made = functions[name]
            found = import_object(module, place)
            return from_factory(found) if made else cast("Callable[..., Any]", found)
        module, _, place = name.partition(":")
        return cast("Callable[..., Any]", getattr(keras.activations, name, None) or import_object(module, place))

    def part(base: type[Any], call: Callable[..., Any]) -> type[Any]:
        inside = {"__init__": _keep, "__call__": lambda self, *given, **more: call(*given), "get_config": _config}
        return type(f"Function{base.__name__}", (base,), inside)

    makers = {
        "Initializer": part(keras.initializers.Initializer, lambda shape, dtype=None: keras.ops.zeros(shape, dtype)),
        "Regularizer": part(keras.regularizers.Regularizer, lambda weights: 0.0),
        "Constraint": part(keras.constraints.Constraint, lambda weights: weights),
    }
    return {
        "kexp>ParametricActivation": parametric_activation(function_of),
        **{f"kexp>Function{kind}": made for kind, made in makers.items()},
    }


def _keep(self: Any, **config: Any) -> None:
    self.config = config


def _config(self: Any) -> dict[str, Any]:
    return dict(self.config)

"""The custom objects that saved models with a component need."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import FunctionType
from typing import Any

from kexp.registry import Component
from kexp.registry.reading import is_there_already
from kexp.serving.parts import from_factory
from kexp.traits.declaring import CLASSES

__all__ = [
    "classes_of",
    "function_key",
]


def classes_of(component: Component) -> dict[str, Any]:
    """Returns name -> object for what saved models with a component refer to by name, and Keras does not have.

    These are the Keras classes that its module defines or that it declares, and the component's own class. A function
    that is the part itself has the name that the config gives it.

    Raises:
        ComponentError: the component, or a class that it declares, cannot be imported.
    """
    made = component.load()
    kind = made if isinstance(made, type) else type(made)
    found: dict[str, Any] = {}
    if component.reading().kind == "itself":
        found[function_key(component.group, component.name)] = made
    elif kind is made or is_there_already(made):
        found[kind.__name__] = kind
    if component.reading().kind == "made":
        found[function_key(component.group, component.name)] = from_factory(made)
    home = component.target.partition(":")[0] if is_there_already(made) else getattr(made, "__module__", "")
    module = sys.modules.get(home)
    for name, each in vars(module).items() if module is not None else ():
        if isinstance(each, type) and each.__module__ == home and hasattr(each, "get_config"):
            found[each.__name__] = each
        elif component.group == "model" and _is_own_function(name, each):
            found[name] = each  # for a Lambda layer or an activation
    for target in getattr(made, CLASSES, ()):
        kind = replace(component, target=target).load()
        found[kind.__name__] = kind
    return found


def _is_own_function(name: str, value: Any) -> bool:
    """Returns whether a name of a module is a function that files refer to by this name, because Keras has none."""
    import keras

    if not isinstance(value, FunctionType) or value.__name__ != name or value.__module__.startswith("keras."):
        return False
    return not any(hasattr(each, name) for each in (keras.activations, keras.losses, keras.metrics, keras.ops))


def function_key(group: str, name: str) -> str:
    """Returns the name of a function in Keras' custom objects; the bare name would replace Keras' own function."""
    return f"kexp.{group}={name}"

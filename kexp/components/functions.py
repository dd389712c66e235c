"""Functions used directly as components, in a form that Keras accepts and that saved models can name."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, cast

from kexp import registry
from kexp.errors import ComponentError
from kexp.registry import Component
from kexp.registry.groups import GROUPS
from kexp.registry.reading import Reading, read_object
from kexp.serving.parts import from_factory
from kexp.traits import function_key

__all__ = [
    "GROUPS_IN_FILES",
    "as_function",
    "bind_function",
    "function_class",
    "function_of",
    "register_function",
    "wrap_made",
]

# Groups whose components are written into files -> Keras' base class.
_BASES = {
    "initializer": "initializers:Initializer",
    "regularizer": "regularizers:Regularizer",
    "constraint": "constraints:Constraint",
    "schedule": "optimizers.schedules:LearningRateSchedule",
}
GROUPS_IN_FILES = tuple(_BASES)


def bind_function(
    component: Component, function: Callable[..., Any], reading: Reading, parameters: Mapping[str, Any]
) -> Any:
    """Binds the parameters of a function that is used directly.

    Args:
        component: the component in the config.
        function: its function.
        reading: how its signature was read.
        parameters: its parameters in the config.

    Returns:
        A function of Keras' arguments; for groups that are written into files, an instance of a Keras class.
    """
    if component.group in _BASES:
        return function_class(component.group)(
            register_function(component.group, component.name, function),
            list(reading.signature.taken),
            dict(parameters),
        )
    first = [parameters[p.name] for p in reading.signature.parameters if p.positional_only and p.name in parameters]
    rest = {key: value for key, value in parameters.items() if key not in _positional(reading)}
    if not parameters:
        return as_function(component, function)
    return as_function(component, lambda *values: function(*values, *first, **rest), function)


def wrap_made(component: Component, factory: Callable[..., Any], made: Any, parameters: Mapping[str, Any]) -> Any:
    """Wraps a function that a factory has made, in a group whose components are written into files.

    Args:
        component: the component in the config.
        factory: its factory.
        made: what the factory returned.
        parameters: what it was called with.

    Returns:
        An instance of a Keras class that calls the factory again; `made` if it is not such a function.
    """
    if isinstance(made, (type, _base(component.group))) or not callable(made):
        return made
    reading = read_object(GROUPS[component.group], made, f"what {component.target} returns")
    if reading.kind != "itself":
        return made
    name = register_function(component.group, component.name, from_factory(factory))
    return function_class(component.group)(name, list(reading.signature.taken), dict(parameters))


def as_function(component: Component, called: Callable[..., Any], stands_for: Any = None) -> Callable[..., Any]:
    """Wraps a callable as a function with a name, which Keras writes into files; partials and objects have none.

    Args:
        component: the component in the config.
        called: a function, a partial or a callable object.
        stands_for: the object with the name and the docstring; `called` by default.
    """
    source = called if stands_for is None else stands_for
    name = getattr(source, "__name__", "")
    if source is called and isinstance(called, types.FunctionType) and name.isidentifier():
        return called

    def bound(*values: Any) -> Any:
        return called(*values)

    functools.update_wrapper(bound, source, updated=())
    del bound.__wrapped__  # type: ignore[attr-defined]  # Keras would write it instead of `bound`
    bound.__name__ = name if name.isidentifier() else component.name.rpartition(":")[2].rpartition(".")[2]
    return bound


def _positional(reading: Reading) -> frozenset[str]:
    return frozenset(p.name for p in reading.signature.parameters if p.positional_only)


def register_function(group: str, name: str, function: Callable[..., Any]) -> str:
    """Registers a function that was chosen by reference as a custom object of Keras.

    A reference in a file is not imported when the file is read, so the function must be registered before.

    Args:
        group: the component's group.
        name: its registered name, or the reference.
        function: the function.

    Returns:
        The name to write into files.
    """
    import keras

    if ":" in name:
        keras.saving.get_custom_objects()[function_key(group, name)] = function
    return name


def function_of(group: str, name: str) -> Callable[..., Any]:
    """Finds the function that a file names: Keras' own, a registered one, or one that `register_function` registered.

    Args:
        group: the component's group.
        name: the name in the file.

    Raises:
        ComponentError: there is no such function.
    """
    import keras

    found = getattr(keras.activations, name, None) if group == "activation" else None
    found = found or keras.saving.get_registered_object(function_key(group, name))
    if found is None and ":" not in name:
        component = registry.find(group, name)
        found = component.load()
        if component.reading().kind == "made":
            found = from_factory(found)
    if found is None:
        raise ComponentError(f"{group}: {name} is not known here; import it and pass it as a custom object")
    return cast(Callable[..., Any], found)


def _base(group: str) -> Any:
    """Returns the Keras class of a group's components."""
    import keras

    place, _, base = _BASES[group].partition(":")
    return getattr(functools.reduce(getattr, place.split("."), keras), base)


@functools.cache
def function_class(group: str) -> type[Any]:
    """Returns the Keras class `kexp>FunctionInitializer` or `...Regularizer`, `...Constraint`, `...Schedule`.

    Its config is a function's name and parameters.

    Args:
        group: `initializer`, `regularizer`, `constraint` or `schedule`.
    """
    import keras

    parent: Any = _base(group)

    class Function(parent):  # type: ignore[misc]
        """Calls the function with the arguments that Keras passes to the base class."""

        def __init__(self, function: str, taken: list[str], parameters: Mapping[str, Any]) -> None:
            self.function, self.taken, self.parameters = function, taken, dict(parameters)
            self._function = function_of(group, function)

        def __call__(self, *values: Any, dtype: Any = None, **more: Any) -> Any:
            factory = getattr(self._function, "factory", None)
            made = factory(**self.parameters) if factory else functools.partial(self._function, **self.parameters)
            if group != "initializer":
                return made(*values)
            shape, *rest = values
            dtype = rest[0] if rest else dtype
            if "dtype" in self.taken:
                more["dtype"] = dtype
            elif len(self.taken) > 1:
                return made(shape, dtype)
            return made(shape, **more)

        def get_config(self) -> dict[str, Any]:
            return {"function": self.function, "taken": self.taken, "parameters": self.parameters}

    Function.__name__ = Function.__qualname__ = f"Function{group.title()}"
    keras.saving.register_keras_serializable("kexp")(Function)
    return Function

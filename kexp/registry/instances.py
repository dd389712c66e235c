"""Components that a user's module has already created: their settings, and a copy for each run.

A run trains a copy, so that runs in one process share no state. The copy is made from the object's config
(`get_config`, or for a callback the attributes named like its arguments) if a first copy proves equal. An object
without such a config, or with functions, which may hold any state, is created again by reloading its module.
"""

from __future__ import annotations

import functools
import inspect
import random
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from kexp.signatures import UNREADABLE, Parameter, Signature

__all__ = ["arguments_of", "copy_instance", "factory_of", "settings_of_instance", "shorten_float", "with_config"]

_PLAIN = (bool, int, float, str, type(None))
# Attributes that differ between an object and its copy, or do not affect its behaviour.
_IGNORED = frozenset(
    {"_name", "name", "_path", "_auto_config", "_tracker", "_lock", "_inbound_nodes", "_outbound_nodes"}
)
_DEPTH = 6
_cached: dict[int, tuple[Any, dict[str, Any] | None]] = {}  # keeps the object too, so that its id is not reused


def settings_of_instance(instance: Any) -> Signature:
    """Returns the settings of an existing object as a component's parameters."""
    config = _config_of(instance) or {}
    parameters = tuple(
        Parameter(key, shorten_float(value) if _is_plain(value) else UNREADABLE, keyword_only=True)
        for key, value in config.items()
        if key != "name"
    )
    return Signature(parameters, inspect.getdoc(type(instance)) or "")


def copy_instance(instance: Any, parameters: Mapping[str, Any], reload: Callable[[], Any]) -> Any:
    """Copies an existing object, with the settings of the config.

    Args:
        instance: the object.
        parameters: its settings, including those that the config changes.
        reload: reloads the module and returns its object.
    """
    import keras

    config = _config_of(instance)
    if config is None:
        return reload()
    if isinstance(instance, keras.layers.Layer):
        config.pop("name", None)  # a model may contain several copies
    changed = {
        key: value for key, value in parameters.items() if key not in config or shorten_float(config[key]) != value
    }
    return _rebuilt(instance, {**config, **changed})


def needs_reload(instance: Any) -> bool:
    """Returns whether copying an object requires reloading its module."""
    return _config_of(instance) is None


def arguments_of(instance: Any) -> dict[str, Any] | None:
    """Returns the arguments that create an equal object: its config, or its attributes of the arguments' names.

    Args:
        instance: the object.

    Returns:
        None if no arguments are proven to create an equal object.
    """
    config = _config_of(instance)
    if config is not None:
        return config
    try:
        config = _kept(instance)
        return config if _same(instance, type(instance)(**config), _DEPTH) else None
    except Exception:  # raised by the object's own code
        return None


def factory_of(function: types.FunctionType) -> tuple[types.FunctionType, dict[str, Any]] | None:
    """Returns the function of a module that created a closure, and its arguments: `focal` and 2.0 of `focal(2.0)`.

    Args:
        function: a function that is defined inside another one.

    Returns:
        None unless the same call is proven to create an equal closure.
    """
    outer, _, inner = function.__qualname__.partition(".<locals>.")
    factory = getattr(sys.modules.get(function.__module__), outer, None)
    if not isinstance(factory, types.FunctionType) or "." in inner:
        return None
    try:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        captured = dict(zip(function.__code__.co_freevars, cells, strict=True))
        arguments = {name: captured[name] for name in inspect.signature(factory).parameters if name in captured}
        again = factory(**arguments)
        equal = again.__code__ is function.__code__ and _same(function, again, _DEPTH)
    except Exception:  # raised by the user's code; or what it returns is no function
        return None
    return (factory, arguments) if equal and all(map(_is_plain, arguments.values())) else None


def _config_of(instance: Any) -> dict[str, Any] | None:
    """Returns the config from which an equal copy can be made; None if there is none. Cached by object."""
    if id(instance) not in _cached:
        _cached[id(instance)] = instance, _proven_config(instance)
    return _cached[id(instance)][1]


def _proven_config(instance: Any) -> dict[str, Any] | None:
    random_state = random.getstate()  # Keras draws the seeds of initializers from this generator
    try:
        config = _config(instance)
        copied = _rebuilt(instance, config)
        if _is_graph(instance):  # its config is complete; compile settings are read from the object
            return config if instance.get_config() == copied.get_config() else None
    except Exception:  # the object's own code may raise anything; it cannot be copied in this way
        return None
    finally:
        random.setstate(random_state)
    return config if _same(instance, copied, _DEPTH) else None


def _is_graph(instance: Any) -> bool:
    """Returns whether an object is a model of one of Keras' own classes."""
    import keras

    return isinstance(instance, keras.Model) and type(instance).__module__.startswith("keras.")


def _config(instance: Any) -> dict[str, Any]:
    import keras

    if isinstance(instance, keras.Model):
        return {}
    if hasattr(instance, "get_config"):
        return dict(instance.get_config())
    return _kept(instance)


def _kept(instance: Any) -> dict[str, Any]:
    """Returns the attributes of an object that have the names of its class's arguments."""
    taken = inspect.signature(type(instance)).parameters.values()
    config = {each.name: getattr(instance, each.name) for each in taken if each.kind is not each.VAR_KEYWORD}
    if any(callable(value) for value in config.values()):
        raise TypeError("a function may hold state")
    return config


def _rebuilt(instance: Any, config: Mapping[str, Any]) -> Any:
    import keras

    if isinstance(instance, keras.Model):
        # Keras would compile the clone too, and finds a loss by name only if it is its own.
        compiled, instance.compiled = instance.compiled, False
        try:
            return keras.models.clone_model(instance)
        finally:
            instance.compiled = compiled
    if hasattr(instance, "get_config"):
        return type(instance).from_config(dict(config))
    return type(instance)(**config)


def _same(a: Any, b: Any, depth: int) -> bool:
    """Returns whether two objects have the same settings, as far as these are plain values."""
    if a is b or type(a) is not type(b):
        return a is b
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(_same(x, y, depth) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key], depth) for key in a)
    if isinstance(a, _PLAIN):
        return bool(a == b)
    return depth == 0 or _is_state(a) or _same(_inside(a), _inside(b), depth - 1)


def _inside(value: Any) -> dict[str, Any]:
    """Returns the attributes of an object, or the code and closure of a function."""
    if isinstance(value, types.FunctionType):
        return {"code": value.__code__, "cells": [cell.cell_contents for cell in value.__closure__ or ()]}
    return {key: each for key, each in getattr(value, "__dict__", {}).items() if key not in _IGNORED}


def _is_state(value: Any) -> bool:
    """Returns whether a value is state of Keras or the backend, such as a variable, and not a setting."""
    import keras

    kinds = (types.CodeType, keras.Variable, keras.KerasTensor, keras.random.SeedGenerator, keras.DTypePolicy)
    return isinstance(value, kinds) or type(value).__module__.startswith(("tensorflow", "jax", "keras.src.utils"))


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def shorten_float(value: Any) -> Any:
    """Returns a float32 value as its shortest decimal: 0.05, not 0.05000000074505806.

    Args:
        value: any setting; a tuple becomes a list, and other values are unchanged.
    """
    if type(value) is not float:
        return list(value) if isinstance(value, tuple) else value
    import numpy as np

    short = np.float32(value)
    return float(str(short)) if np.isfinite(short) and float(short) == value else value


@functools.cache
def with_config(kind: type[Any]) -> type[Any]:
    """Returns a subclass whose `get_config` returns its arguments, under the name of the class itself."""

    def begin(self: Any, **given: Any) -> None:
        kind.__init__(self, **given)
        self.kexp_config = given

    body = {"__init__": begin, "get_config": lambda self: dict(self.kexp_config), "__module__": kind.__module__}
    return type(kind.__name__, (kind,), body)

"""Parts that a module has made already: what their settings are, and a new one for each run.

A run trains a copy, so that runs in one process share no state. The copy comes from the object's own config
(`get_config`, or of a callback the arguments that it keeps under their names), where what comes of it proves to be
the same; what has no such config, or holds functions, which may hold anything, is made anew by its module.
"""

from __future__ import annotations

import inspect
import random
import types
from collections.abc import Callable, Mapping
from typing import Any

from kexp.signatures import UNREADABLE, Parameter, Signature

__all__ = ["fresh", "settings_of", "tidy"]

_PLAIN = (bool, int, float, str, type(None))
# What differs between an object and its copy, or says nothing of what it does.
_ASIDE = frozenset({"_name", "name", "_path", "_auto_config", "_tracker", "_lock", "_inbound_nodes", "_outbound_nodes"})
_DEPTH = 6
_found: dict[int, tuple[Any, dict[str, Any] | None]] = {}  # with the object, so that its number stays its own


def settings_of(made: Any) -> Signature:
    """The settings of an object that is there already, as a component's parameters."""
    config = _config_of(made) or {}
    parameters = tuple(
        Parameter(key, tidy(value) if _is_plain(value) else UNREADABLE, keyword_only=True)
        for key, value in config.items()
        if key != "name"
    )
    return Signature(parameters, inspect.getdoc(type(made)) or "")


def fresh(made: Any, parameters: Mapping[str, Any], made_anew: Callable[[], Any]) -> Any:
    """Another object like `made`, with other settings where the config has some.

    Args:
        made: the object.
        parameters: its settings, those that the config changes among them.
        made_anew: makes it once more in the way it was made.
    """
    import keras

    config = _config_of(made)
    if config is None:
        return made_anew()
    if isinstance(made, keras.layers.Layer):
        config.pop("name", None)  # a model may have several of its copies
    changed = {key: value for key, value in parameters.items() if key not in config or tidy(config[key]) != value}
    return _rebuilt(made, {**config, **changed})


def is_made_anew(made: Any) -> bool:
    """Whether a run's own copy of an object takes running its module once more."""
    return _config_of(made) is None


def _config_of(made: Any) -> dict[str, Any] | None:
    """What makes another of the kind; None where nothing proves to. Found out once an object."""
    if id(made) not in _found:
        _found[id(made)] = made, _proven_config(made)
    return _found[id(made)][1]


def _proven_config(made: Any) -> dict[str, Any] | None:
    drawn = random.getstate()  # Keras draws initializers' seeds there, and this copy is not the one that trains
    try:
        config = _config(made)
        copied = _rebuilt(made, config)
        if _is_graph(made):  # which its config says in full; how it was compiled is read from the object
            return config if made.get_config() == copied.get_config() else None
    except Exception:  # the object's own code: whatever it raises, it cannot be copied in this way
        return None
    finally:
        random.setstate(drawn)
    return config if _same(made, copied, _DEPTH) else None


def _is_graph(made: Any) -> bool:
    """Whether an object is a model of Keras' own classes."""
    import keras

    return isinstance(made, keras.Model) and type(made).__module__.startswith("keras.")


def _config(made: Any) -> dict[str, Any]:
    import keras

    if isinstance(made, keras.Model):
        return {}
    if hasattr(made, "get_config"):
        return dict(made.get_config())
    taken = inspect.signature(type(made)).parameters.values()
    config = {each.name: getattr(made, each.name) for each in taken if each.kind is not each.VAR_KEYWORD}
    if any(callable(value) for value in config.values()):
        raise TypeError("a function may hold state")
    return config


def _rebuilt(made: Any, config: Mapping[str, Any]) -> Any:
    import keras

    if isinstance(made, keras.Model):
        return keras.models.clone_model(made)
    if hasattr(made, "get_config"):
        return type(made).from_config(dict(config))
    return type(made)(**config)


def _same(a: Any, b: Any, depth: int) -> bool:
    """Whether two objects have the same settings, as far as these are plain values."""
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
    """What an object or a function holds."""
    if isinstance(value, types.FunctionType):
        return {"code": value.__code__, "cells": [cell.cell_contents for cell in value.__closure__ or ()]}
    return {key: each for key, each in getattr(value, "__dict__", {}).items() if key not in _ASIDE}


def _is_state(value: Any) -> bool:
    """Variables begin anew, and what Keras and the backend keep of their own is no setting."""
    import keras

    kinds = (types.CodeType, keras.Variable, keras.KerasTensor, keras.random.SeedGenerator, keras.DTypePolicy)
    return isinstance(value, kinds) or type(value).__module__.startswith(("tensorflow", "jax", "keras.src.utils"))


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def tidy(value: Any) -> Any:
    """A number that was kept in 32 bits, as it was written: 0.05, not 0.05000000074505806."""
    if type(value) is not float:
        return list(value) if isinstance(value, tuple) else value
    import numpy as np

    short = np.float32(value)
    return float(str(short)) if np.isfinite(short) and float(short) == value else value

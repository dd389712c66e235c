"""Describes a built object by plain values, so that two builds can be compared.

Two builds of one config must have the same config, settings and results. They are built under different seeds of
Python's and NumPy's generators, so that random values show.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["described", "first_difference"]

_DEEPEST = 6
_CLOCK_S = 60.0  # a number this close to a clock is when the object was made
_COUNTED = re.compile(r"_\d+(?=/|$)")  # the number in names that Keras generates: dense, dense_1


def described(made: Any) -> dict[str, Any]:
    """Returns an object's settings: the result of `get_config`, plain attributes, and those of its layers.

    The numbers in generated names, seeds, times and objects that cannot be compared are left out.
    """
    return _object(made, 0)


def first_difference(first: Mapping[str, Any], second: Mapping[str, Any], path: str = "") -> str | None:
    """Returns the first difference of two descriptions, as `units: 4, then 7`; None if they are equal.

    Args:
        first: a result of `described`.
        second: another one.
        path: the key of both, put before the keys inside.
    """
    for key in dict.fromkeys([*first, *second]):
        place = f"{path}.{key}" if path else str(key)
        one, other = first.get(key), second.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found = first_difference(one, other, place)
            if found:
                return found
        elif not _equal(one, other):
            return f"{place}: {_short(one)}, then {_short(other)}"
    return None


def _equal(one: Any, other: Any) -> bool:
    import numpy as np

    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other, equal_nan=getattr(one, "dtype", np.dtype(object)).kind == "f"))
    return bool(one == other) or repr(one) == repr(other)  # NaN does not equal NaN


def _short(value: Any, most: int = 40) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _object(made: Any, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"class": type(made).__qualname__}
    config = _config_of(made)
    if config is not None:
        found["config"] = _plain(config, depth + 1)
    found |= {key: value for key, value in _attributes(made).items() if "seed" not in key}
    layers = getattr(made, "layers", None)
    if isinstance(layers, list) and depth < _DEEPEST:
        found["layers"] = {str(index): _object(layer, depth + 1) for index, layer in enumerate(layers)}
    return found


def _config_of(made: Any) -> Any:
    get_config: Callable[[], Any] | None = getattr(made, "get_config", None)
    if get_config is None or isinstance(made, type):
        return None
    try:
        return get_config()
    except Exception:  # an object without a config of its own; the check of saving reports it
        return None


def _attributes(made: Any) -> dict[str, Any]:
    """Returns the attributes that are plain values, by name."""
    found: dict[str, Any] = {}
    for key, value in getattr(made, "__dict__", {}).items():
        if isinstance(value, (bool, int, str)) or (isinstance(value, float) and not _is_clock(value)):
            found[key] = _named(value) if isinstance(value, str) else value
        elif isinstance(value, (list, tuple)) and all(isinstance(each, (bool, int, float, str)) for each in value):
            found[key] = [_named(each) if isinstance(each, str) else each for each in value]
    return found


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        items = {str(key): each for key, each in value.items() if "seed" not in str(key)}
        return {key: _plain(each, depth + 1) for key, each in items.items()} if depth < _DEEPEST else {}
    if isinstance(value, (list, tuple)):
        return {str(index): _plain(each, depth + 1) for index, each in enumerate(value)}
    if isinstance(value, str):
        return _named(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "get_config") and depth < _DEEPEST:
        return _object(value, depth + 1)
    return getattr(value, "__qualname__", type(value).__qualname__)


def _named(text: str) -> str:
    return _COUNTED.sub("", text)


def _is_clock(value: float) -> bool:
    return any(abs(clock() - value) < _CLOCK_S for clock in (time.time, time.monotonic, time.perf_counter))

"""What was checked before: a sweep checks thousands of configs that differ in few values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

Made = TypeVar("Made")

__all__ = ["remembered"]

_MOST = 2000
_made: dict[Any, Any] = {}


def remembered(key: Any, value: Any, make: Callable[[], Made], keeps: Callable[[Made], bool] = bool) -> Made:
    """What `make` gives, called once for equal keys and values.

    Args:
        key: what tells one use from another; hashable.
        value: of a config. What is not text, numbers, lists and mappings is not remembered.
        make: checks the value; what it raises is raised again each time.
        keeps: whether what it made may be remembered.
    """
    try:
        place = (key, json.dumps(value))
    except (TypeError, ValueError):
        return make()
    if place in _made:
        known: Made = _made[place]
        return known
    made = make()
    if keeps(made):
        if len(_made) >= _MOST:
            _made.clear()
        _made[place] = made
    return made

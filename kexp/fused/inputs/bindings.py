"""Where a config's numbers ended up: attributes of built objects, found by comparing two builds with different numbers.

No component is asked and no list is kept: an attribute that is the first trial's momentum in one build and the second's
in the other is the momentum. Plugins' components are found the same way, their closures' variables too.
"""

from __future__ import annotations

import contextlib
import functools
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Binding", "bound", "find_bindings"]

_SKIPPED = {"_tracker", "_inbound_nodes", "_outbound_nodes", "_history", "_compile_config", "_auto_config"}
_MAX_DEPTH = 24
_DERIVED = object()  # a number that differs between the builds and is none of those that were moved


@dataclass(frozen=True, eq=False)
class Binding:
    """An attribute, an item or a closure's variable of the first build that holds one of the numbers.

    Attributes:
        holder: the object, container or cell.
        kind: "attribute", "item" or "cell".
        name: the attribute's name or the item's key; None for a cell.
        key: what it holds.
        within: position in a tuple that stands there, or None.
    """

    holder: Any
    kind: str
    name: Any
    key: Any
    within: int | None = None

    def get(self) -> Any:
        if self.kind == "attribute":
            return vars(self.holder)[self.name]
        return self.holder.cell_contents if self.kind == "cell" else self.holder[self.name]

    def set(self, value: Any) -> None:
        """Past whatever the holder does when it is written to: Keras tracks attributes and containers."""
        if self.kind == "attribute":
            object.__setattr__(self.holder, self.name, value)
        elif self.kind == "cell":
            self.holder.cell_contents = value
        elif isinstance(self.holder, dict):
            dict.__setitem__(self.holder, self.name, value)
        else:
            list.__setitem__(self.holder, self.name, value)


def find_bindings(
    first: Any, second: Any, names: Mapping[tuple[Any, Any], Any], without: Iterable[Any] = ()
) -> tuple[list[Binding], int]:
    """The places in `first` that hold a number, and how many hold what was worked out of some.

    Args:
        first: a built object, or a container of some.
        second: the same, built with other numbers.
        names: (value in the first build, value in the second) -> what that number is called.
        without: objects of the first build to be passed over.
    """
    found = list(_walk(first, second, {**names}, {id(each) for each in without}, _MAX_DEPTH))
    return [place for place in found if place.key is not _DERIVED], sum(place.key is _DERIVED for place in found)


@contextmanager
def bound(places: list[Binding], value_of: Callable[[Any], Any]) -> Iterator[None]:
    """Puts `value_of(key)` in every place for a while."""
    before = [place.get() for place in places]
    try:
        for place in places:
            value = value_of(place.key)
            if place.within is not None:
                items = list(place.get())
                items[place.within] = value
                value = tuple(items)
            place.set(value)
        yield
    finally:
        for place, old in zip(reversed(places), reversed(before), strict=True):
            place.set(old)


def _walk(a: Any, b: Any, names: dict[Any, Any], seen: set[int], depth: int) -> Iterator[Binding]:
    if id(a) in seen or depth == 0:
        return
    seen.add(id(a))
    for holder, kind, name, mine, other in _children(a, b):
        found = _named(mine, other, names)
        if found is not None:
            yield Binding(holder, kind, name, found[0])
        elif type(mine) is tuple and isinstance(other, tuple) and len(mine) == len(other):
            for position, (x, y) in enumerate(zip(mine, other, strict=True)):
                found = _named(x, y, names)
                if found is not None:
                    yield Binding(holder, kind, name, found[0], position)
                elif _worth(x):
                    yield from _walk(x, y, names, seen, depth - 1)
        elif _worth(mine):
            yield from _walk(mine, other, names, seen, depth - 1)


def _children(a: Any, b: Any) -> Iterator[tuple[Any, str, Any, Any, Any]]:
    """What two objects of one kind hold, side by side: (holder, kind, name, in a, in b)."""
    if isinstance(a, dict) and isinstance(b, dict):
        yield from ((a, "item", key, a[key], b[key]) for key in a if key in b)
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        yield from ((a, "item", position, x, y) for position, (x, y) in enumerate(zip(a, b, strict=True)))
    elif isinstance(a, functools.partial) and isinstance(b, functools.partial):
        yield a, "read", "keywords", a.keywords, b.keywords
        yield a, "read", "func", a.func, b.func
    elif isinstance(a, types.MethodType) and isinstance(b, types.MethodType):
        yield a, "read", "__self__", a.__self__, b.__self__
    elif isinstance(a, types.FunctionType) and isinstance(b, types.FunctionType):
        for mine, other in zip(a.__closure__ or (), b.__closure__ or (), strict=False):
            with contextlib.suppress(ValueError):  # a cell that is not filled yet
                if mine is not other:
                    yield mine, "cell", None, mine.cell_contents, other.cell_contents
    if (
        type(a).__qualname__ == type(b).__qualname__
        and hasattr(a, "__dict__")
        and not isinstance(a, types.FunctionType)
    ):
        mine, other = vars(a), vars(b)
        yield from (
            (a, "attribute", key, mine[key], other[key]) for key in mine if key in other and key not in _SKIPPED
        )


def _worth(value: Any) -> bool:
    """Whether an object can hold numbers of ours; variables and arrays are state, not settings."""
    if value is None or isinstance(value, (str, bytes, bool, int, float, complex, type, types.ModuleType)):
        return False
    import jax
    import keras
    import numpy as np

    return not isinstance(
        value, (keras.Variable, keras.KerasTensor, np.ndarray, np.generic, jax.Array, keras.DTypePolicy)
    )


def _named(a: Any, b: Any, names: dict[Any, Any]) -> tuple[Any] | None:
    """What the pair of values is called; a name may be anything, so that it comes in a tuple."""
    if isinstance(a, (bool, str)) or a is None:
        return None
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        found = names.get((a, b))
        return (found,) if found is not None else None if a == b or math.isnan(a) else (_DERIVED,)
    if _worth(a):
        return None
    if getattr(a, "shape", None) == () and getattr(b, "shape", None) == () and hasattr(a, "dtype"):
        return _named_array(a, b, names)
    return None


def _named_array(a: Any, b: Any, names: dict[Any, Any]) -> tuple[Any] | None:
    import keras
    import numpy as np

    if isinstance(a, keras.Variable):  # state, not a setting
        return None
    try:
        first, second = np.asarray(a), np.asarray(b)
    except Exception:  # symbolic: no value
        return None
    for (x, y), name in names.items():
        if first.dtype.kind in "fV" and first == np.asarray(x, first.dtype) and second == np.asarray(y, second.dtype):
            return (name,)
    return None

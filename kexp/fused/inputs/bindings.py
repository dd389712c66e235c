"""Where the numbers of a config are in the objects built from it: found by comparing two builds with other numbers.

Components are not asked, and there is no list of their attributes: an attribute that equals the first trial's momentum
in one build and the second's in the other is the momentum. This finds the numbers of plugins' components too, including
those in the variables of closures.
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

__all__ = ["Binding", "find_bindings", "substituted"]

_SKIPPED = {"_tracker", "_inbound_nodes", "_outbound_nodes", "_history", "_compile_config", "_auto_config"}
_MAX_DEPTH = 24
_DERIVED = object()  # the key of a number that differs between the builds, but is not one of those that were changed


@dataclass(frozen=True, eq=False)
class Binding:
    """An attribute, an item or a closure's variable of the first build that holds one of the numbers.

    Attributes:
        holder: the object, container or closure cell.
        kind: "attribute", "item" or "cell".
        name: the attribute's name or the item's key; None for a cell.
        key: the key of the number that it holds; see `find_bindings`.
        tuple_index: the number's position if the attribute holds a tuple; None if it holds the number itself.
    """

    holder: Any
    kind: str
    name: Any
    key: Any
    tuple_index: int | None = None

    def get(self) -> Any:
        """Returns the value, a tuple if the number is in one."""
        if self.kind == "attribute":
            return vars(self.holder)[self.name]
        return self.holder.cell_contents if self.kind == "cell" else self.holder[self.name]

    def set(self, value: Any) -> None:
        """Sets the value without the holder's own `__setattr__` or `__setitem__`, in which Keras tracks changes."""
        if self.kind == "attribute":
            object.__setattr__(self.holder, self.name, value)
        elif self.kind == "cell":
            self.holder.cell_contents = value
        elif isinstance(self.holder, dict):
            dict.__setitem__(self.holder, self.name, value)
        else:
            list.__setitem__(self.holder, self.name, value)


def find_bindings(
    first: Any, second: Any, keys: Mapping[tuple[Any, Any], Any], without: Iterable[Any] = ()
) -> tuple[list[Binding], int]:
    """Finds where the first of two builds holds numbers that differ between the builds.

    Args:
        first: a built object, or a container of built objects.
        second: the same, built with other numbers.
        keys: (value in the first build, value in the second) -> the key of that number.
        without: objects of the first build that are not searched.

    Returns:
        The bindings, and how many further attributes differ: they hold what a build computed from the numbers.
    """
    found = list(_search(first, second, keys, {id(each) for each in without}, _MAX_DEPTH))
    bindings = [binding for binding in found if binding.key is not _DERIVED]
    return bindings, len(found) - len(bindings)


@contextmanager
def substituted(bindings: list[Binding], value_of: Callable[[Any], Any]) -> Iterator[None]:
    """Replaces every bound number by `value_of(key)` within the block."""
    before = [binding.get() for binding in bindings]
    try:
        for binding in bindings:
            value = value_of(binding.key)
            if binding.tuple_index is not None:
                items = list(binding.get())
                items[binding.tuple_index] = value
                value = tuple(items)
            binding.set(value)
        yield
    finally:
        for binding, old in zip(reversed(bindings), reversed(before), strict=True):
            binding.set(old)


def _search(
    first: Any, second: Any, keys: Mapping[tuple[Any, Any], Any], seen: set[int], depth: int
) -> Iterator[Binding]:
    if id(first) in seen or depth == 0:
        return
    seen.add(id(first))
    for holder, kind, name, in_first, in_second in _children(first, second):
        found = _key_of(in_first, in_second, keys)
        if found is not None:
            yield Binding(holder, kind, name, found[0])
        elif type(in_first) is tuple and isinstance(in_second, tuple) and len(in_first) == len(in_second):
            for index, (x, y) in enumerate(zip(in_first, in_second, strict=True)):
                found = _key_of(x, y, keys)
                if found is not None:
                    yield Binding(holder, kind, name, found[0], index)
                elif _may_hold_numbers(x):
                    yield from _search(x, y, keys, seen, depth - 1)
        elif _may_hold_numbers(in_first):
            yield from _search(in_first, in_second, keys, seen, depth - 1)


def _children(a: Any, b: Any) -> Iterator[tuple[Any, str, Any, Any, Any]]:
    """Yields what two objects of the same kind hold, side by side: (holder, kind, name, in a, in b)."""
    if isinstance(a, dict) and isinstance(b, dict):
        yield from ((a, "item", key, a[key], b[key]) for key in a if key in b)
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        yield from ((a, "item", index, x, y) for index, (x, y) in enumerate(zip(a, b, strict=True)))
    elif isinstance(a, functools.partial) and isinstance(b, functools.partial):
        yield a, "read", "keywords", a.keywords, b.keywords
        yield a, "read", "func", a.func, b.func
    elif isinstance(a, types.MethodType) and isinstance(b, types.MethodType):
        yield a, "read", "__self__", a.__self__, b.__self__
    elif isinstance(a, types.FunctionType) and isinstance(b, types.FunctionType):
        for cell, other_cell in zip(a.__closure__ or (), b.__closure__ or (), strict=False):
            with contextlib.suppress(ValueError):  # an empty cell
                if cell is not other_cell:
                    yield cell, "cell", None, cell.cell_contents, other_cell.cell_contents
    if (
        type(a).__qualname__ == type(b).__qualname__
        and hasattr(a, "__dict__")
        and not isinstance(a, types.FunctionType)
    ):
        in_a, in_b = vars(a), vars(b)
        yield from ((a, "attribute", key, in_a[key], in_b[key]) for key in in_a if key in in_b and key not in _SKIPPED)


def _may_hold_numbers(value: Any) -> bool:
    """Returns whether to search within an object. Variables and arrays are state, not settings."""
    if value is None or isinstance(value, (str, bytes, bool, int, float, complex, type, types.ModuleType)):
        return False
    import jax
    import keras
    import numpy as np

    return not isinstance(
        value, (keras.Variable, keras.KerasTensor, np.ndarray, np.generic, jax.Array, keras.DTypePolicy)
    )


def _key_of(a: Any, b: Any, keys: Mapping[tuple[Any, Any], Any]) -> tuple[Any] | None:
    """Returns the key of a pair of values, in a tuple because a key may be anything; None if it has none."""
    if isinstance(a, (bool, str)) or a is None:
        return None
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        found = keys.get((a, b))
        return (found,) if found is not None else None if a == b or math.isnan(a) else (_DERIVED,)
    if _may_hold_numbers(a):
        return None
    if getattr(a, "shape", None) == () and getattr(b, "shape", None) == () and hasattr(a, "dtype"):
        return _key_of_scalar_array(a, b, keys)
    return None


def _key_of_scalar_array(a: Any, b: Any, keys: Mapping[tuple[Any, Any], Any]) -> tuple[Any] | None:
    import keras
    import numpy as np

    if isinstance(a, keras.Variable):  # state, not a setting
        return None
    try:
        first, second = np.asarray(a), np.asarray(b)
    except Exception:  # a symbolic tensor has no value
        return None
    for (x, y), key in keys.items():
        if first.dtype.kind in "fV" and first == np.asarray(x, first.dtype) and second == np.asarray(y, second.dtype):
            return (key,)
    return None

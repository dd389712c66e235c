"""What one's own modules keep from call to call: a run of a process begins with what the one before it began with.

A counter, a list that is a default, a variable of a closure, a function's or a class's attribute, an attribute of an
object with a call: what a run left there is put back as the next one begins, unless the user has changed it since.
What a module imports from the folder that it was found in counts as it does.
"""

from __future__ import annotations

import copy
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kexp.registry.own_code import modules_of
from kexp.system.process_settings import as_set_by

__all__ = ["begun_anew", "untouched"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_MANY = (list, tuple, set, frozenset, deque)
_ABSENT = object()
Place = tuple[Any, str]  # an owner and its attribute; None and a name for a default, which changes in place alone
_left: dict[str, tuple[Any, Any]] = {}  # place -> what a run began with, what it left


@contextmanager
def begun_anew(modules: Iterable[str]) -> Iterator[None]:
    """A run's time: its modules begin as before the process's earlier runs, with the settings that they have made."""
    modules = tuple(modules)
    for name, (place, value) in _places(modules).items():
        if name in _left and value == _left[name][1]:
            _put_back(place, value, _left[name][0])
    before = _values(modules)
    try:
        with as_set_by(modules):
            yield
    finally:
        _left.update({name: (before.get(name, _ABSENT), value) for name, value in _values(modules).items()})


@contextmanager
def untouched(modules: Iterable[str]) -> Iterator[None]:
    """A try, of which nothing is left."""
    modules = tuple(modules)
    before = _values(modules)
    try:
        yield
    finally:
        for name, (place, value) in _places(modules).items():
            _put_back(place, value, before.get(name, _ABSENT))


def _values(modules: tuple[str, ...]) -> dict[str, Any]:
    return {name: copy.deepcopy(value) for name, (_, value) in _places(modules).items()}


def _put_back(place: Place, now: Any, then: Any) -> None:
    owner, key = place
    if then is _ABSENT:
        if owner is not None:
            delattr(owner, key)
    elif type(now) is not type(then) or isinstance(now, (tuple, frozenset, *_PLAIN)):
        if owner is not None:
            setattr(owner, key, then)
    elif now != then:  # in place: others may hold it too
        now.clear()
        (now.extend if isinstance(now, (list, deque)) else now.update)(copy.deepcopy(then))


def _places(modules: tuple[str, ...]) -> dict[str, tuple[Place, Any]]:
    """Where modules keep plain values, by a name of the place, and what is there now."""
    whole = {each for name in modules for each in modules_of(name)}
    loaded = [(name, sys.modules[name]) for name in sorted(whole) if name in sys.modules]
    each = (found for name, module in loaded for found in _inside(name, module, whole))
    return {name: (place, value) for name, place, value in each if _is_plain(value)}


def _inside(module: str, made: types.ModuleType, whole: set[str]) -> Iterator[tuple[str, Place, Any]]:
    yield from _attributes(module, made, vars(made))
    for key, value in list(vars(made).items()):
        name = f"{module}:{key}"
        homes = {module} if isinstance(value, (type, types.FunctionType)) else whole
        if getattr(value, "__module__", None) not in homes:
            continue  # imported
        if isinstance(value, types.FunctionType):
            yield from _of_function(name, value)
            continue
        inside = vars(value) if isinstance(value, type) else getattr(value, "__dict__", {})
        yield from _attributes(name, value, inside)
        for method, function in inside.items():
            if isinstance(function, types.FunctionType):
                yield from _of_function(f"{name}.{method}", function)


def _attributes(name: str, owner: Any, values: Mapping[str, Any]) -> Iterator[tuple[str, Place, Any]]:
    for key, value in list(values.items()):
        if not key.startswith("__"):
            yield f"{name}.{key}", (owner, key), value


def _of_function(name: str, function: types.FunctionType) -> Iterator[tuple[str, Place, Any]]:
    for key, value in [*enumerate(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]:
        yield f"{name}({key})", (None, str(key)), value
    for key, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"{name}[{key}]", (cell, "cell_contents"), cell.cell_contents
        except ValueError:  # empty
            continue
    yield from _attributes(name, function, function.__dict__)


def _is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(_is_plain(key) and _is_plain(each) for key, each in value.items())
    if type(value) in _MANY:
        return all(map(_is_plain, value))
    return type(value) in _PLAIN

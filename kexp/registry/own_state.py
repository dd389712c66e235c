"""The state of users' modules: each run of a process starts with the state that the first run started with.

State is a counter, a list as a default argument, a variable of a closure, and an attribute of a function, a class or an
object of a module. What a run has changed is restored when the next run starts, unless the user has changed it since.
This includes the user's modules that a module imports.
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
Place = tuple[Any, str]  # an owner and its attribute; None and a name for a default, which is only changed in place
_left: dict[str, tuple[Any, Any]] = {}  # place -> its values at the start and at the end of a run


@contextmanager
def begun_anew(modules: Iterable[str]) -> Iterator[None]:
    """Restores the state of modules for a run, with the process-wide settings that the modules have made."""
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
    """Restores the state of modules after a trial call."""
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
    """Returns name -> (place, current value), for all plain values that modules keep."""
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

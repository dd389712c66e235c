"""Derives valid and invalid values of a parameter from its annotation."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from kexp.errors import ConfigError
from kexp.rules import KERAS_RANGES, Range, Rule, check_parameter, rules_of
from kexp.signatures import Parameter

__all__ = ["example", "outside"]

# Values of parameters that Keras requires and does not annotate.
_KERAS = {
    "units": 4,
    "filters": 4,
    "kernel_size": 2,
    "rate": 0.3,
    "l1": 0.01,
    "l2": 0.01,
    "alpha": 0.1,
    "stddev": 0.1,
}
# Text parameters that refer to something outside, for which no value can be made up.
_OUTSIDE = frozenset("path file filename folder directory uri url address table query".split())


def example(parameter: Parameter) -> Any:
    """Returns a value that a parameter accepts; None if none can be derived from its annotation."""
    rules = list[Rule]()
    kind = parameter.annotation
    if get_origin(kind) is Annotated:
        kind, *marks = get_args(kind)
        rules = list(rules_of(marks))
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if kind not in (int, float):
        if parameter.name == "layers":
            return [{"name": "Flatten"}]
        if kind is str and parameter.name in _OUTSIDE:
            return None
        return _KERAS.get(parameter.name) if kind is None else {bool: True, str: "text"}.get(kind)
    tried = [4, 1, 2, 0] if kind is int else [0.5, 0.1, 1.5, 2.0, 0.0]
    ends = [end for rule in rules if isinstance(rule, Range) for end in (rule.ge, rule.le) if end is not None]
    return next((value for value in [*tried, *ends] if not any(rule.is_broken_by(value) for rule in rules)), None)


def outside(parameter: Parameter, by_keras: bool) -> list[Any]:
    """Returns values that a parameter's annotation forbids: of another type, and just past each bound of its range.

    Args:
        parameter: the parameter.
        by_keras: as of `check_parameter`.

    Raises:
        AssertionError: kexp's own check accepts such a value.
    """
    found = []
    for value in _suspects(parameter, by_keras):
        try:
            check_parameter(parameter.name, value, parameter, by_keras)
        except ConfigError:
            found.append(value)
        else:
            if get_origin(parameter.annotation) not in (Union, types.UnionType):
                raise AssertionError(f"{parameter.name}: the rule does not refuse {value!r}")
    return found


def _suspects(parameter: Parameter, by_keras: bool) -> Iterator[Any]:
    """Yields values that one option of the annotation forbids; another option of a union may accept them."""
    if parameter.annotation is None:
        if by_keras and parameter.name in KERAS_RANGES:
            yield from _past(KERAS_RANGES[parameter.name])
        return
    for option in _options(parameter.annotation):
        kind, *marks = get_args(option) if get_origin(option) is Annotated else (option,)
        if kind in (int, float, bool):
            yield "neither a number nor true or false"
        elif kind is str or get_origin(kind) is Literal:
            yield {"a mapping": "where text is due"}
        for rule in rules_of(marks):
            if isinstance(rule, Range):
                yield from _past(rule)


def _options(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _past(allowed: Range) -> Iterator[float]:
    if allowed.ge is not None:
        yield allowed.ge - 1
    if allowed.gt is not None:
        yield allowed.gt
    if allowed.le is not None:
        yield allowed.le + 1
    if allowed.lt is not None:
        yield allowed.lt

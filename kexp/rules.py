"""The rules for values of a config: types and ranges, with a sentence for each violation.

An annotation is the rule: `epochs: Annotated[int, Range(ge=1)]`. Keras does not annotate its parameters, so their rule
is the type of the default and, for names with one meaning everywhere in Keras, the range in `KERAS_RANGES`.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from kexp.errors import ConfigError, suggestion
from kexp.signatures import REQUIRED, Parameter

__all__ = [
    "KERAS_RANGES",
    "Count",
    "Fraction",
    "NonNegative",
    "Positive",
    "Range",
    "Whole",
    "check_parameter",
    "check_value",
    "rule_of",
]


@dataclass(frozen=True)
class Range:
    """Bounds of a number; None for no bound.

    Attributes:
        ge: the least value.
        gt: a lower bound that is excluded.
        le: the greatest value.
        lt: an upper bound that is excluded.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )

    def __str__(self) -> str:
        low = (
            f"at least {self.ge:g}"
            if self.ge is not None
            else f"greater than {self.gt:g}"
            if self.gt is not None
            else ""
        )
        high = (
            f"at most {self.le:g}" if self.le is not None else f"less than {self.lt:g}" if self.lt is not None else ""
        )
        return " and ".join(part for part in (low, high) if part)


Count = Annotated[int, Range(ge=1)]
Whole = Annotated[int, Range(ge=0)]
Positive = Annotated[float, Range(gt=0)]
NonNegative = Annotated[float, Range(ge=0)]
Fraction = Annotated[float, Range(ge=0, lt=1)]

_SHARE = Range(ge=0, lt=1)
_POSITIVE = Range(gt=0)
KERAS_RANGES: dict[str, Range] = {
    "learning_rate": _POSITIVE,
    "initial_learning_rate": _POSITIVE,
    "momentum": Range(ge=0, le=1),
    "rho": Range(ge=0, le=1),
    "beta_1": _SHARE,
    "beta_2": _SHARE,
    "epsilon": _POSITIVE,
    "weight_decay": Range(ge=0),
    "clipnorm": _POSITIVE,
    "clipvalue": _POSITIVE,
    "global_clipnorm": _POSITIVE,
    "ema_momentum": Range(ge=0, le=1),
    "decay": Range(ge=0),
    "delta": _POSITIVE,
    "label_smoothing": Range(ge=0, le=1),
    "threshold": Range(),
    "k": Range(ge=1),
    "units": Range(ge=1),
    "filters": Range(ge=1),
    "rate": _SHARE,
    "dropout": _SHARE,
    "recurrent_dropout": _SHARE,
    "l1": Range(ge=0),
    "l2": Range(ge=0),
    "patience": Range(ge=0),
}
_WHOLE_IN_KERAS = frozenset({"k", "units", "filters", "patience", "decay_steps", "first_decay_steps"})
# Keras replaces other values by the first of these, with a warning.
_CHOICES_IN_KERAS: dict[str, tuple[str, ...]] = {"mode": ("auto", "min", "max")}
_NOUNS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "a mapping",
    list: "a list",
}


def check_parameter(key: str, value: Any, parameter: Parameter, by_keras: bool = True) -> None:
    """Checks a value against a parameter's rule.

    Args:
        key: the config key for messages.
        value: the value.
        parameter: the parameter.
        by_keras: whether its name means what it means in Keras; a `rate` of the user's own code may be any number.

    Raises:
        ConfigError: the value breaks the rule; the sentence names the key, the rule and the value.
    """
    if parameter.annotation is not None:
        check_value(key, value, parameter.annotation)
    else:
        _check_unannotated(key, value, parameter)
        if by_keras and value is not None:
            _check_as_keras(key, value, parameter)


def check_value(key: str, value: Any, annotation: Any) -> None:
    """Checks a value against an annotation. Annotations other than plain types allow any value.

    Args:
        key: the config key for messages.
        value: the value.
        annotation: the rule.

    Raises:
        ConfigError: the value breaks the rule; the sentence names the key, the rule and the value.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        check_value(key, value, inner)
        for mark in marks:
            if isinstance(mark, Range):
                _check_range(key, value, mark)
    elif origin in (Union, types.UnionType):
        _check_union(key, value, get_args(annotation))
    elif origin is Literal:
        options = get_args(annotation)
        if value not in options:
            listed = ", ".join(str(option) for option in options)
            hint = suggestion(str(value), [str(o) for o in options]) if len(options) > 6 else ""
            raise ConfigError.at(key, f"must be one of {listed}{hint}", value)
    elif origin in (list, Sequence, tuple) or annotation in (list, tuple):
        _check_list(key, value, get_args(annotation))
    elif origin in (dict, Mapping) or annotation in (dict, Mapping):
        _check_mapping(key, value, get_args(annotation))
    elif annotation in (None, type(None)):
        if value is not None:
            raise ConfigError.at(key, "must be null", value)
    elif annotation in (bool, int, float, str):
        _check_plain(key, value, annotation)


def _check_plain(key: str, value: Any, kind: type) -> None:
    if kind is bool:
        good = isinstance(value, bool)
    elif kind is int:
        good = isinstance(value, int) and not isinstance(value, bool)
    elif kind is float:
        good = _is_number(value)
    else:
        good = isinstance(value, kind)
    if not good:
        raise ConfigError.at(key, f"must be {_NOUNS[kind]}", value)


def _check_range(key: str, value: Any, allowed: Range) -> None:
    for each in value if isinstance(value, (list, tuple)) else [value]:
        if _is_number(each) and (math.isnan(each) or each not in allowed):
            raise ConfigError.at(key, f"must be {allowed or 'a number'}", value)


def _check_union(key: str, value: Any, options: tuple[Any, ...]) -> None:
    failures = []
    for option in options:
        try:
            check_value(key, value, option)
        except ConfigError as error:
            failures.append((option, error))
        else:
            return
    # A value of the right type but out of range gets the sentence about the range.
    ranged = [error for _, error in failures if re.search("must be (at least|at most|greater|less)", str(error))]
    inside = [error for _, error in failures if str(error).startswith((f"{key}.", f"{key}["))]
    for each in (ranged, inside):
        if len(each) == 1:
            raise each[0]
    raise ConfigError.at(key, f"must be {_either(options)}", value)


def _check_list(key: str, value: Any, inner: tuple[Any, ...]) -> None:
    if not isinstance(value, (list, tuple)):
        raise ConfigError.at(key, "must be a list", value)
    if inner:
        for index, each in enumerate(value):
            check_value(f"{key}[{index}]", each, inner[0])


def _check_mapping(key: str, value: Any, inner: tuple[Any, ...]) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError.at(key, "must be a mapping", value)
    for name, each in value.items() if inner else ():
        check_value(f"{key}.{name}", each, inner[1])


def _check_unannotated(key: str, value: Any, parameter: Parameter) -> None:
    default, name = parameter.default, parameter.name
    if value is None:
        if default is REQUIRED or (isinstance(default, (bool, int, float)) and name != "seed"):
            raise ConfigError.at(key, "must be given" if default is REQUIRED else "must not be null", value)
        return
    if isinstance(default, bool):
        _check_plain(key, value, bool)
    elif isinstance(default, (int, float)):
        _check_numbers(key, value)
    elif isinstance(default, str) and isinstance(value, (bool, int, float)):
        raise ConfigError.at(key, "must be text", value)


def _check_numbers(key: str, value: Any) -> None:
    numbers = value if isinstance(value, (list, tuple)) else [value]
    if not isinstance(value, Mapping) and not all(_is_number(each) for each in numbers):
        raise ConfigError.at(key, "must be a number", value)


def _check_as_keras(key: str, value: Any, parameter: Parameter) -> None:
    """Checks a parameter of Keras', which annotates nothing, by its name."""
    default, name = parameter.default, parameter.name
    allowed = KERAS_RANGES.get(name)
    if allowed is not None and not isinstance(default, bool):
        _check_numbers(key, value)
    if name in _CHOICES_IN_KERAS and default in _CHOICES_IN_KERAS[name]:
        check_value(key, value, Literal[_CHOICES_IN_KERAS[name]])
    if name in _WHOLE_IN_KERAS and not (isinstance(value, int) and not isinstance(value, bool)):
        raise ConfigError.at(key, "must be a whole number", value)
    if allowed is not None:
        _check_range(key, value, allowed)


def rule_of(annotation: Any) -> str:
    """Describes an annotation in words: `a whole number at least 1 or null`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return _either(get_args(annotation))
    return _noun(annotation)


def _either(options: Sequence[Any]) -> str:
    return " or ".join(dict.fromkeys(_noun(option) for option in options))


def _noun(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        bounds = " ".join(str(mark) for mark in marks if isinstance(mark, Range))
        return f"{_noun(inner)} {bounds}".strip()
    if get_origin(annotation) is Literal:
        return " or ".join(str(option) for option in get_args(annotation))
    if annotation in (None, type(None)):
        return "null"
    return _NOUNS.get(get_origin(annotation) or annotation, str(annotation))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

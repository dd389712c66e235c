"""Check values of a config against rules, with a sentence for each violation."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from kexp.errors import ConfigError, suggestion
from kexp.rules.bounds import Rule, is_number, rules_of
from kexp.rules.keras_names import CHOICES_IN_KERAS, KERAS_RANGES, WHOLE_IN_KERAS
from kexp.signatures import REQUIRED, Parameter

__all__ = ["check_parameter", "check_value", "rule_of"]


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
        for rule in rules_of(marks):
            _check_rule(key, value, rule)
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
        good = is_number(value)
    else:
        good = isinstance(value, kind)
    if not good:
        raise ConfigError.at(key, f"must be {_NOUNS[kind]}", value)


def _check_rule(key: str, value: Any, rule: Rule) -> None:
    if rule.is_broken_by(value):
        raise ConfigError.at(key, f"must be {rule}", value)


def _check_union(key: str, value: Any, options: tuple[Any, ...]) -> None:
    failures = []
    for option in options:
        try:
            check_value(key, value, option)
        except ConfigError as error:
            failures.append((option, error))
        else:
            return
    # A value of the right type that breaks a rule gets the sentence about the rule.
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
    if not isinstance(value, Mapping) and not all(is_number(each) for each in numbers):
        raise ConfigError.at(key, "must be a number", value)


def _check_as_keras(key: str, value: Any, parameter: Parameter) -> None:
    """Checks a parameter of Keras', which annotates nothing, by its name."""
    default, name = parameter.default, parameter.name
    allowed = KERAS_RANGES.get(name)
    if allowed is not None and not isinstance(default, bool):
        _check_numbers(key, value)
    if name in CHOICES_IN_KERAS and default in CHOICES_IN_KERAS[name]:
        check_value(key, value, Literal[CHOICES_IN_KERAS[name]])
    if name in WHOLE_IN_KERAS and not (isinstance(value, int) and not isinstance(value, bool)):
        raise ConfigError.at(key, "must be a whole number", value)
    if allowed is not None:
        _check_rule(key, value, allowed)


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
        return f"{_noun(inner)} {' and '.join(map(str, rules_of(marks)))}".strip()
    if get_origin(annotation) is Literal:
        return " or ".join(str(option) for option in get_args(annotation))
    if annotation in (None, type(None)):
        return "null"
    return _NOUNS.get(get_origin(annotation) or annotation, str(annotation))

"""Types and ranges of config values, each with its sentence."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from kexp.errors import ConfigError
from kexp.rules import Count, Fraction, Positive, check_parameter, check_value
from kexp.signatures import REQUIRED, Parameter


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (3, int),
        (3, float),
        (0.5, Fraction),
        (None, int | None),
        ([1, 2], list[Count]),
        ("auto", Literal["auto"] | Count),
        (4, Literal["auto"] | Count),
        ({"a": 1}, dict[str, int]),
        (object(), Any),
    ],
)
def test_check_value_lets_valid_values_pass(value: Any, annotation: Any) -> None:
    check_value("key", value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation", "sentence"),
    [
        (True, int, "key: must be a whole number, got true"),
        (1.5, int, "key: must be a whole number, got 1.5"),
        ("a", float, "key: must be a number, got 'a'"),
        (0, Count, "key: must be at least 1, got 0"),
        (1.0, Fraction, "key: must be at least 0 and less than 1, got 1.0"),
        (float("nan"), Positive, "key: must be greater than 0, got nan"),
        (0, Count | None, "key: must be at least 1, got 0"),
        ("x", Count | None, "key: must be a whole number at least 1 or null, got 'x'"),
        ("red", Literal["green", "blue"], "key: must be one of green, blue, got 'red'"),
        ([1, 0], list[Count], "key[1]: must be at least 1, got 0"),
        (3, list[int], "key: must be a list, got 3"),
        (3, dict[str, int], "key: must be a mapping, got 3"),
    ],
)
def test_check_value_says_the_rule_and_the_value(value: Any, annotation: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_value("key", value, annotation)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("name", "default", "value", "sentence"),
    [
        ("learning_rate", 0.001, -1, "key: must be greater than 0, got -1"),
        ("learning_rate", 0.001, "fast", "key: must be a number, got 'fast'"),
        ("learning_rate", 0.001, None, "key: must not be null, got null"),
        ("nesterov", False, 1, "key: must be true or false, got 1"),
        ("units", REQUIRED, 2.5, "key: must be a whole number, got 2.5"),
        ("kernel_size", REQUIRED, None, "key: must be given, got null"),
        ("padding", "valid", 3, "key: must be text, got 3"),
        ("rate", REQUIRED, 1.0, "key: must be at least 0 and less than 1, got 1.0"),
    ],
)
def test_keras_parameters_go_by_their_default_and_name(name: str, default: Any, value: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_parameter("key", value, Parameter(name, default))
    assert str(caught.value) == sentence


def test_what_stands_inside_a_mapping_is_checked_too() -> None:
    weights = Literal["balanced"] | dict[Any, float] | None
    check_value("key", {0: 1, 1: 2.5}, weights)
    with pytest.raises(ConfigError) as caught:
        check_value("key", {0: 1, 1: "two"}, weights)
    assert str(caught.value) == "key.1: must be a number, got 'two'"

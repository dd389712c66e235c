"""Types and ranges of config values, each with its sentence."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import annotated_types as marks
import pydantic
import pytest

from kexp.errors import ConfigError
from kexp.rules import Count, Fraction, Positive, check_parameter, check_value, rule_of
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
    ("annotation", "value", "sentence"),
    [
        (Annotated[float, marks.Gt(0)], 0, "must be greater than 0"),
        (Annotated[float, marks.Gt(0)] | None, 0, "must be greater than 0"),
        (Annotated[float, marks.Le(1), "the share"], 2, "must be at most 1"),
        (Annotated[int, marks.Interval(ge=1, lt=9)], 9, "must be at least 1 and less than 9"),
        (list[Annotated[int, marks.Ge(1)]], [1, 0], "[1]: must be at least 1"),
        (Annotated[list[int], marks.MinLen(2)], [1], "must be at least 2 long"),
        (Annotated[str, marks.Len(2, 4)], "abcde", "must be at least 2 and at most 4 long"),
        (Annotated[int, marks.MultipleOf(8)], 12, "must be divisible by 8"),
        (Annotated[float, marks.Predicate(math.isfinite)], math.inf, "must be accepted by isfinite"),
        (pydantic.PositiveInt, 0, "must be greater than 0"),
        (Annotated[float, pydantic.Field(gt=0, multiple_of=0.1)], 0.25, "must be divisible by 0.1"),
    ],
)
def test_marks_of_other_libraries_are_rules(annotation: Any, value: Any, sentence: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(annotation).validate_python(value)
    with pytest.raises(ConfigError) as caught:
        check_value("key", value, annotation)
    assert str(caught.value).startswith(f"key{'' if sentence[0] == '[' else ': '}{sentence}, got ")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Annotated[float, marks.Interval(gt=0, le=1)], 1.0),
        (Annotated[float, marks.MultipleOf(0.1)], 0.3),
        (Annotated[list[int], pydantic.Field(min_length=1, max_length=2)], [3]),
        (Annotated[float, marks.doc("a note"), object()], -3.0),
        (marks.IsFinite[float], 2.0),
    ],
)
def test_values_within_marks_of_other_libraries_pass(annotation: Any, value: Any) -> None:
    check_value("key", value, annotation)


def test_a_rule_in_words_has_all_its_marks() -> None:
    rule = Annotated[int, marks.Gt(0), marks.MultipleOf(8)] | None
    assert rule_of(rule) == "a whole number greater than 0 and divisible by 8 or null"


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

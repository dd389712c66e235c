"""Rules beyond a type, as they stand in an annotation: `Annotated[float, Range(ge=0, lt=1)]`.

The marks of annotated-types (`Gt`, `Interval`, `MinLen`, `MultipleOf`, `Predicate`, ...) and of pydantic's `Field` are
rules too. They are recognized by their attributes, as annotated-types intends, so neither package is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeGuard

__all__ = ["Count", "Fraction", "NonNegative", "Positive", "Range", "Rule", "Whole", "is_number", "rules_of"]

_BOUNDS = ("ge", "gt", "le", "lt")
_EXACT = 1e-9  # relative; 0.3 is a multiple of 0.1, although its remainder is not 0


class Rule(Protocol):
    """A rule for values of a type; `str` completes the sentence "must be ..."."""

    def is_broken_by(self, value: Any) -> bool:
        """Returns whether a value breaks the rule; values of other types do not."""


@dataclass(frozen=True)
class Range:
    """Bounds of a number, or of each number of a list; None for no bound. NaN is outside.

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
        low = [f"at least {self.ge:g}"] if self.ge is not None else []
        low += [f"greater than {self.gt:g}"] if self.gt is not None and not low else []
        high = [f"at most {self.le:g}"] if self.le is not None else []
        high += [f"less than {self.lt:g}"] if self.lt is not None and not high else []
        return " and ".join([*low, *high]) or "a number"

    def is_broken_by(self, value: Any) -> bool:
        """See `Rule`."""
        numbers = value if isinstance(value, (list, tuple)) else [value]
        return any(is_number(each) and (math.isnan(each) or each not in self) for each in numbers)


@dataclass(frozen=True)
class _Length:
    least: int
    most: int | None

    def is_broken_by(self, value: Any) -> bool:
        sized = hasattr(value, "__len__")
        return sized and (len(value) < self.least or (self.most is not None and len(value) > self.most))

    def __str__(self) -> str:
        low = [f"at least {self.least}"] if self.least else []
        high = [f"at most {self.most}"] if self.most is not None else []
        return " and ".join([*low, *high]) + " long"


@dataclass(frozen=True)
class _Multiple:
    of: float

    def is_broken_by(self, value: Any) -> bool:
        if not is_number(value):
            return False
        times = value / self.of
        return not math.isfinite(times) or not math.isclose(times, round(times), rel_tol=_EXACT, abs_tol=_EXACT)

    def __str__(self) -> str:
        return f"divisible by {self.of:g}"


@dataclass(frozen=True)
class _Predicate:
    accepts: Callable[[Any], Any]

    def is_broken_by(self, value: Any) -> bool:
        try:
            return not self.accepts(value)
        except Exception:  # of a value of another type
            return True

    def __str__(self) -> str:
        name = getattr(self.accepts, "__qualname__", type(self.accepts).__name__)
        return f"accepted by {name}"


def rules_of(marks: Iterable[Any]) -> Iterator[Rule]:
    """Yields the rules among the marks of an annotation, and skips other marks.

    Args:
        marks: what stands behind the type in `Annotated[...]`.
    """
    for mark in marks:
        if isinstance(mark, Range):
            yield mark
            continue
        bounds = {name: bound for name in _BOUNDS if is_number(bound := getattr(mark, name, None))}
        if bounds:
            yield Range(**bounds)
        least, most = getattr(mark, "min_length", None), getattr(mark, "max_length", None)
        if least or most is not None:
            yield _Length(least or 0, most)
        if is_number(of := getattr(mark, "multiple_of", None)):
            yield _Multiple(of)
        if callable(accepts := getattr(mark, "func", None)):
            yield _Predicate(accepts)
        if isinstance(inside := getattr(mark, "metadata", None), list):  # of pydantic's `Field`
            yield from rules_of(inside)


def is_number(value: Any) -> TypeGuard[float]:
    """Returns whether a value is a number and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


Count = Annotated[int, Range(ge=1)]
Whole = Annotated[int, Range(ge=0)]
Positive = Annotated[float, Range(gt=0)]
NonNegative = Annotated[float, Range(ge=0)]
Fraction = Annotated[float, Range(ge=0, lt=1)]

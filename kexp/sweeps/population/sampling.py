"""Points of a space, drawn at random; the seed decides which."""

from __future__ import annotations

import math
import random
from typing import Any

from kexp.errors import ConfigError
from kexp.sweeps.search.space import Choice, Domain, Interval, Space, Steps, count_points

__all__ = ["draw", "draw_points", "listed_values", "rounded"]

_MOST_POINTS = 1_000_000
_TRIES = 100  # so many draws in a row that were drawn before, and the space has no others
_DIGITS = 5


def draw_points(space: Space, count: int | None, seed: int, key: str) -> list[dict[str, Any]]:
    """Different points of a space.

    Args:
        space: what to choose from.
        count: how many at most; None for all of a space that has an end.
        seed: decides which.
        key: the config key of `count`, for messages.

    Raises:
        ConfigError: all points of a space that has no end.
    """
    endless = any(isinstance(axis.domain, Interval) for axis in space.axes)
    if count is None and endless:
        raise ConfigError(f"{key}: must be given where an axis is an interval: how many trials there are to be")
    if not endless:
        there = count_points(space, _MOST_POINTS)
        if count is None or there <= count:
            return list(space.points())
    assert count is not None
    chance, found, misses = random.Random(seed), dict[tuple[Any, ...], dict[str, Any]](), 0
    while len(found) < count and misses < _TRIES:
        point: dict[str, Any] = {}
        for axis in space.active(point):
            point[axis.name] = draw(axis.domain, chance)
        misses = misses + 1 if tuple(point.items()) in found else 0
        found.setdefault(tuple(point.items()), point)
    return list(found.values())


def draw(domain: Domain, chance: random.Random) -> Any:
    """A value of a domain, each with the same chance; of a logarithmic one, each order of magnitude."""
    if isinstance(domain, Choice):
        return chance.choice(domain.values)
    if not isinstance(domain, Interval):
        values = domain.values()
        weights = [math.log1p(1 / value) for value in values] if domain.log else None
        return chance.choices(values, weights)[0]
    low, high = float(domain.low), float(domain.high)
    if domain.whole:
        low, high = low - 0.5, high + 0.5
    value = math.exp(chance.uniform(math.log(low), math.log(high))) if domain.log else chance.uniform(low, high)
    return rounded(value, domain)


def rounded(value: float, domain: Interval) -> float:
    """The value within its interval, with as many digits as a person cares for."""
    inside = min(max(value, domain.low), domain.high)
    if domain.whole:
        return round(inside)
    return float(min(max(float(f"{inside:.{_DIGITS}g}"), domain.low), domain.high))


def listed_values(domain: Choice | Steps) -> list[float]:
    """The numbers of a domain that lists them, ascending."""
    return sorted(float(each) for each in (domain.values if isinstance(domain, Choice) else domain.values()))

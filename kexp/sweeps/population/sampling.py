"""Sample points of a space at random, reproducibly for a seed."""

from __future__ import annotations

import math
import random
from typing import Any

from kexp.errors import ConfigError
from kexp.sweeps.search.space.axes import Choice, Domain, Interval, Space, Steps, count_points

__all__ = ["draw", "draw_points", "listed_values", "rounded"]

_MOST_POINTS = 1_000_000
_TRIES = 100  # after so many repeated samples in a row, the space is taken to have no other points
_DIGITS = 5


def draw_points(space: Space, count: int | None, seed: int, key: str) -> list[dict[str, Any]]:
    """Sample distinct points of a space.

    Args:
        space: the space to sample from.
        count: how many points at most; None for all points of a finite space.
        seed: random seed.
        key: the config key of `count`, for messages.

    Returns:
        Points, each with the chosen value by axis name. All points of the space if it has no more than `count`.

    Raises:
        ConfigError: `count` is None, and an axis is an interval.
    """
    infinite = any(isinstance(axis.domain, Interval) for axis in space.axes)
    if count is None and infinite:
        raise ConfigError(f"{key}: must be given (the number of trials), because an axis is an interval")
    if not infinite and (count is None or count_points(space, _MOST_POINTS) <= count):
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
    """Sample a value of a domain, uniformly, or uniformly in its logarithm for a logarithmic domain."""
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
    """Clip a value to its interval, and round it to a whole number or to 5 significant digits."""
    inside = min(max(value, domain.low), domain.high)
    if domain.whole:
        return round(inside)
    return float(min(max(float(f"{inside:.{_DIGITS}g}"), domain.low), domain.high))


def listed_values(domain: Choice | Steps) -> list[float]:
    """Return the numbers of a discrete domain, ascending."""
    return sorted(float(each) for each in (domain.values if isinstance(domain, Choice) else domain.values()))

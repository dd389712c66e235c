"""A search space: axes, the domain of each, and the choices that each depends on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.errors import ConfigError

__all__ = ["Axis", "Choice", "Domain", "Interval", "Space", "Steps"]


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`.

    Attributes:
        low, high: the bounds, both included.
        log: whether to sample uniformly in the logarithm.
        whole: whether only whole numbers are included.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        low, high = (int(self.low), int(self.high)) if self.whole else (self.low, self.high)
        text = f"int(interval({low},{high}))" if self.whole else f"interval({low!r},{high!r})"
        return f"tag(log, {text})" if self.log else text


@dataclass(frozen=True)
class Steps:
    """The numbers `low`, `low + step`, ... up to `high`, which is included.

    Attributes:
        low, high: the bounds, both included.
        step: the distance between neighbours, above 0.
        log: whether to sample uniformly in the logarithm.
    """

    low: float
    high: float
    step: float = 1
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return all(isinstance(each, int) for each in (self.low, self.high, self.step))

    def values(self) -> list[float]:
        """Returns all values, ascending."""
        count = round((self.high - self.low) / self.step)
        return [self.tidy(self.low + place * self.step) for place in range(count + 1)]

    def tidy(self, value: float) -> float:
        """Removes the rounding error of binary fractions: 0.3 instead of 0.30000000000000004."""
        return int(value) if self.whole else float(f"{value:.12g}")

    def __str__(self) -> str:
        text = f"range({self.low!r} to {self.high!r} by {self.step!r})"
        return f"tag(log, {text})" if self.log else text


@dataclass(frozen=True)
class Choice:
    """A list of values, written as on the command line."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.values)


Domain = Interval | Steps | Choice


@dataclass(frozen=True)
class Axis:
    """An axis of a search space.

    Attributes:
        name: unique name in the study.
        key: the config key or group that the axis sets.
        domain: the values to choose from.
        when: conditions (axis, choices): the axis is active only if each of these axes has one of its choices.
        node: whether the axis chooses a component in a node that is not a config group; the node is set as a whole.
        inside: the axis whose node contains this parameter; empty if the key is set by itself.
    """

    name: str
    key: str
    domain: Domain
    when: tuple[tuple[str, tuple[str, ...]], ...] = ()
    node: bool = False
    inside: str = ""

    def __str__(self) -> str:
        conditions = "".join(f" where {axis} is {' or '.join(choices)}" for axis, choices in self.when)
        return f"{self.key}={self.domain}{conditions}"


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        axes: the axes, each after those that it depends on.
        fixed: overrides that all trials share.
    """

    axes: tuple[Axis, ...]
    fixed: tuple[str, ...] = ()

    def active(self, chosen: Mapping[str, Any]) -> Iterator[Axis]:
        """Yields the active axes in order, given the choices so far. `chosen` may grow during the iteration."""
        for axis in self.axes:
            if all(chosen.get(name) in choices for name, choices in axis.when):
                yield axis

    def overrides(self, chosen: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the overrides of a trial, the shared ones first."""
        inside: dict[str, list[str]] = {}
        for axis in self.axes:
            if axis.inside and axis.name in chosen:
                leaf = axis.key.rpartition(".")[2]
                inside.setdefault(axis.inside, []).append(f"{leaf}:{format_value(chosen[axis.name])}")
        parts = list(self.fixed)
        for axis in self.axes:
            if axis.name not in chosen or axis.inside:
                continue
            value = format_value(chosen[axis.name])
            if axis.node and value != "null":
                value = "{" + ",".join([f"name:{value}", *inside.get(axis.name, [])]) + "}"
            parts.append(f"{axis.key}={value}")
        return tuple(parts)

    def points(self) -> Iterator[dict[str, Any]]:
        """Iterates over all points, the last axis varying fastest.

        Raises:
            ConfigError: an axis is an interval.
        """
        for axis in self.axes:
            if isinstance(axis.domain, Interval):
                raise ConfigError(
                    f"{axis.key}: the grid sampler cannot list the values of an interval; "
                    "choose another hydra.sweeper.sampler, or list values"
                )
        return self._points({}, 0)

    def first(self) -> dict[str, Any]:
        """Returns the point with the first or lowest value of each active axis."""
        chosen: dict[str, Any] = {}
        for axis in self.active(chosen):
            domain = axis.domain
            chosen[axis.name] = domain.values[0] if isinstance(domain, Choice) else _to_number(domain, domain.low)
        return chosen

    def signature(self) -> dict[str, str]:
        """Returns axis name -> axis as text; equal for equal spaces."""
        return {axis.name: str(axis) for axis in self.axes}

    def _points(self, chosen: dict[str, Any], place: int) -> Iterator[dict[str, Any]]:
        """Yields the points of a grid, from the axis with the index `place` on."""
        if place == len(self.axes):
            yield dict(chosen)
            return
        axis = self.axes[place]
        if axis in self.active(chosen):
            domain = axis.domain
            values: Sequence[Any] = domain.values if isinstance(domain, Choice) else domain.values()  # type: ignore[union-attr]
            for value in values:
                yield from self._points({**chosen, axis.name: value}, place + 1)
        else:
            yield from self._points(chosen, place + 1)


def count_points(space: Space, most: int) -> int:
    """Returns the number of points of a finite space, but at most `most`."""
    return sum(1 for _ in itertools.islice(space.points(), most))


def format_value(value: Any) -> str:
    """Returns a value as text for the command line."""
    return value if isinstance(value, str) else repr(value)


def _to_number(domain: Interval | Steps, value: float) -> float:
    return int(value) if domain.whole else float(value)

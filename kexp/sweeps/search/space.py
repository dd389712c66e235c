"""What a search may choose from: axes with their domains, and which choice each axis belongs to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.errors import ConfigError

__all__ = ["Axis", "Choice", "Domain", "Interval", "Space", "Steps"]


@dataclass(frozen=True)
class Interval:
    """Every number from `low` to `high`, or every whole number; `log` looks at their logarithms."""

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
    """The numbers `low`, `low + step`, ... up to `high`, which is one of them."""

    low: float
    high: float
    step: float = 1
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of them are whole numbers."""
        return all(isinstance(each, int) for each in (self.low, self.high, self.step))

    def values(self) -> list[float]:
        """All of them."""
        count = round((self.high - self.low) / self.step)
        return [self.tidy(self.low + place * self.step) for place in range(count + 1)]

    def tidy(self, value: float) -> float:
        """A value of these without what binary fractions leave behind: 0.3, not 0.30000000000000004."""
        return int(value) if self.whole else float(f"{value:.12g}")

    def __str__(self) -> str:
        text = f"range({self.low!r} to {self.high!r} by {self.step!r})"
        return f"tag(log, {text})" if self.log else text


@dataclass(frozen=True)
class Choice:
    """A few values, as they are written on the command line."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.values)


Domain = Interval | Steps | Choice


@dataclass(frozen=True)
class Axis:
    """One thing that a search chooses.

    Attributes:
        name: what the study calls it; unique.
        key: the config key or group that it sets.
        domain: what there is to choose from.
        when: (axis, choices): it is there only where each of these axes has one of these choices.
        node: the choice names a component in a node that is no config group: it is set as a whole.
        inside: the axis whose node it is a parameter of; empty where its key is set by itself.
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
    """The axes, each after those that it depends on, and what every trial has.

    Attributes:
        axes: what is chosen.
        fixed: overrides that all trials share.
    """

    axes: tuple[Axis, ...]
    fixed: tuple[str, ...] = ()

    def active(self, chosen: Mapping[str, Any]) -> Iterator[Axis]:
        """The axes that are there, in order, given what was chosen so far: `chosen` may grow while this goes on."""
        for axis in self.axes:
            if all(chosen.get(name) in choices for name, choices in axis.when):
                yield axis

    def overrides(self, chosen: Mapping[str, Any]) -> tuple[str, ...]:
        """A trial's overrides, the shared ones first."""
        inside: dict[str, list[str]] = {}
        for axis in self.axes:
            if axis.inside and axis.name in chosen:
                leaf = axis.key.rpartition(".")[2]
                inside.setdefault(axis.inside, []).append(f"{leaf}:{written(chosen[axis.name])}")
        parts = list(self.fixed)
        for axis in self.axes:
            if axis.name not in chosen or axis.inside:
                continue
            value = written(chosen[axis.name])
            if axis.node and value != "null":
                value = "{" + ",".join([f"name:{value}", *inside.get(axis.name, [])]) + "}"
            parts.append(f"{axis.key}={value}")
        return tuple(parts)

    def points(self) -> Iterator[dict[str, Any]]:
        """Every combination, the last axis fastest.

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
        """One point: the first or lowest value of each axis."""
        chosen: dict[str, Any] = {}
        for axis in self.active(chosen):
            domain = axis.domain
            chosen[axis.name] = domain.values[0] if isinstance(domain, Choice) else _plain(domain, domain.low)
        return chosen

    def signature(self) -> dict[str, str]:
        """The axes by name, as text: equal for equal spaces."""
        return {axis.name: str(axis) for axis in self.axes}

    def _points(self, chosen: dict[str, Any], place: int) -> Iterator[dict[str, Any]]:
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
    """How many combinations there are; `most` where there are more."""
    return sum(1 for _ in itertools.islice(space.points(), most))


def written(value: Any) -> str:
    """A value as on the command line."""
    return value if isinstance(value, str) else repr(value)


def _plain(domain: Interval | Steps, value: float) -> float:
    return int(value) if domain.whole else float(value)

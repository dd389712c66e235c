"""Finds which axes depend on which choices: `optimizer.momentum` exists for sgd, but not for adam.

The conditions are read from composed configs, so the user need not declare them. For each axis, each option of a group
is composed once, while the other groups keep choices under which the axis exists.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kexp.config import explain
from kexp.errors import ConfigError
from kexp.schema import check
from kexp.sweeps.plan.applicable import has_key
from kexp.sweeps.plan.composing import sets_value
from kexp.sweeps.search.space.axes import Axis, Choice, Interval, Space
from kexp.sweeps.search.space.grammar import Request

__all__ = ["build_space"]

_MOST_TRIED = 200  # sets of choices that are composed to find one that has an axis
_Picks = dict[str, str]


def build_space(
    request: Request,
    compose: Callable[[Sequence[str]], Mapping[str, Any]],
    is_group: Callable[[str], bool],
) -> Space:
    """Builds the space of a request, and checks its axes against the configs of its choices.

    Args:
        request: the axes and fixed overrides of the user.
        compose: returns the plain config of overrides.
        is_group: returns whether a key is a config group.

    Raises:
        ConfigError: an axis is a key of none of the configs, or a choice is not an option of its group.
    """
    return _SpaceBuilder(request, compose, is_group).build()


class _SpaceBuilder:
    """Checks the axes of a request against configs, each composed once."""

    def __init__(
        self,
        request: Request,
        compose: Callable[[Sequence[str]], Mapping[str, Any]],
        is_group: Callable[[str], bool],
    ) -> None:
        self.request, self._compose, self._is_group = request, compose, is_group
        self.groups = {axis.name: axis for axis in request.axes if is_group(axis.key)}
        self.base = [each for each in request.fixed if not sets_value(each, self._is_group)]
        self._composed: dict[tuple[str, ...], Mapping[str, Any]] = {}

    def build(self) -> Space:
        fixed, found = [], []
        for each in self.request.fixed:
            key = each.split("=", 1)[0]
            if "=" not in each or not sets_value(each, self._is_group) or key.startswith("sweep."):
                fixed.append(each)
                continue
            axis = Axis(key, key, Choice((each.split("=", 1)[1],)))
            when = self._conditions(axis)
            if when:
                found.append(replace(axis, when=when))
            else:
                fixed.append(each)
        axes = [self._checked(axis) for axis in self.request.axes]
        return Space((*axes, *found), tuple(fixed))

    def _checked(self, axis: Axis) -> Axis:
        """Returns an axis of the request with its conditions, after checking that its key or its options exist."""
        if axis.name in self.groups:
            for option in _options(axis):  # an unknown option is an error before the search starts
                self._config({**self._first(axis), axis.name: option})
            return axis
        if axis.inside or axis.key.startswith(("+", "~")):
            return axis
        if axis.when:
            self._witness(axis)
        when = axis.when or self._conditions(axis)
        return replace(axis, when=when, domain=self._as_integers(replace(axis, when=when)))

    def _conditions(self, axis: Axis) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Returns the choices that the axis depends on: for each such group, the options that have the axis.

        Raises:
            ConfigError: the axis exists under no set of choices.
        """
        picks = self._witness(axis)
        when = []
        for name, group in self.groups.items():
            options = _options(group)
            having = tuple(option for option in options if has_key(self._config({**picks, name: option}), axis.key))
            if len(having) < len(options):
                when.append((name, having))
        return tuple(when)

    def _witness(self, axis: Axis) -> _Picks:
        """Returns choices under which the axis exists."""
        names = list(self.groups)
        options = [_options(group) for group in self.groups.values()]
        for picked in itertools.islice(itertools.product(*options), _MOST_TRIED):
            picks = self._fitting(axis, dict(zip(names, picked, strict=True)))
            if has_key(self._config(picks), axis.key):
                return picks
        value = axis.domain.values[0] if isinstance(axis.domain, Choice) else axis.domain.low
        self._config(self._first(axis), f"{axis.key}={value}")  # raises Hydra's error on the key
        raise ConfigError(f"{axis.key}: there is no such key")

    def _first(self, axis: Axis) -> _Picks:
        """Returns the first option of each group, and choices that meet the axis' own conditions."""
        return self._fitting(axis, {name: _options(group)[0] for name, group in self.groups.items()})

    def _fitting(self, axis: Axis, picks: _Picks) -> _Picks:
        """Returns the picks, changed where the axis' own conditions need another choice."""
        return {**picks, **{name: choices[0] for name, choices in axis.when if name in self.groups}}

    def _as_integers(self, axis: Axis) -> Any:
        """Returns the axis' domain; an interval becomes one of whole numbers if the parameter takes no others."""
        domain = axis.domain
        if not isinstance(domain, Interval) or domain.whole or domain.low % 1 or domain.high % 1:
            return domain
        picks = self._fitting(axis, self._witness(replace(axis, when=())))
        takes = [self._is_valid(picks, axis.key, value) for value in (int(domain.low), domain.low + 0.5)]
        return (
            replace(domain, low=int(domain.low), high=int(domain.high), whole=True)
            if takes == [True, False]
            else domain
        )

    def _is_valid(self, picks: _Picks, key: str, value: float) -> bool:
        """Returns whether a config with these choices accepts the value of a key."""
        try:
            check(self._config(picks, f"{key}={value!r}"))
        except ConfigError:
            return False
        return True

    def _config(self, picks: _Picks, *more: str) -> Mapping[str, Any]:
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        overrides = (*self.base, *(f"{self.groups[name].key}={option}" for name, option in picks.items()), *more)
        if overrides not in self._composed:
            try:
                self._composed[overrides] = self._compose(overrides)
            except (HydraException, OmegaConfBaseException) as error:
                raise explain(error, overrides) from error
        return self._composed[overrides]


def _options(group: Axis) -> tuple[str, ...]:
    if not isinstance(group.domain, Choice):
        raise ConfigError(f"{group.key}: is a config group, whose options must be listed: {group.key}=A,B")
    return group.domain.values

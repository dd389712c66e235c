"""The base class of sweepers over a search space: reads the space, checks it against the configs, plans trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError
from kexp.schema import Experiment
from kexp.sweeps.objective import Objective, choose_objectives
from kexp.sweeps.plan.composing import Composer
from kexp.sweeps.plan.planning import PlanCache
from kexp.sweeps.search.space.axes import Space
from kexp.sweeps.search.space.conditions import build_space
from kexp.sweeps.search.space.declared import declared_axes
from kexp.sweeps.search.space.grammar import Request, read_request
from kexp.sweeps.sweeper_steps import composer_of, plan_overrides, set_up
from kexp.sweeps.trials import Trial

if TYPE_CHECKING:
    from hydra.types import HydraContext
    from omegaconf import DictConfig

__all__ = ["SpaceSweeper", "plain"]


class SpaceSweeper:
    """Reads a search space and plans trials of it.

    Args:
        space: axes in YAML; axes on the command line take precedence.
        params: the same, under the grid sweeper's name.
    """

    config: DictConfig
    hydra_context: HydraContext
    launcher: Any

    def __init__(self, space: Mapping[str, Any] | None, params: Mapping[str, Any] | None) -> None:
        self.described = {**plain(params or {}), **plain(space or {})}
        self.declared = False  # whether the model declares the space

    def setup(self, **given: Any) -> None:
        set_up(self, **given)

    def plan_overrides(self, combinations: Sequence[Sequence[str]]) -> list[Trial]:
        """Composes, checks and fingerprints a trial for each combination of overrides."""
        return plan_overrides(self, combinations, composer=self._composer, cache=self._plan_cache)

    def read_space(self, arguments: Sequence[str]) -> tuple[Request, Space, Trial]:
        """Reads the search space.

        Returns:
            The request, its space, and one valid trial, for the settings that all trials share.

        Raises:
            ConfigError: there is no axis, an axis is not a key of the config, or no trial is valid.
        """
        loader = self.hydra_context.config_loader
        request = read_request(arguments, self.described, is_group=self._composer.is_group, config_loader=loader)
        if not request.axes:
            declared = declared_axes(self._composer.config(request.fixed), request.fixed)
            request = replace(request, axes=declared)
            self.declared = bool(declared)
        if not request.axes:
            raise ConfigError("the sweep has no axis to search over")
        space = build_space(request, self._composer.config, self._composer.is_group)
        chosen = space.first()
        groups = {axis.name for axis in space.axes if self._composer.is_group(axis.key)}
        tried = [space.overrides(chosen), space.overrides({k: v for k, v in chosen.items() if k in groups})]
        probes = self.plan_overrides(tried)
        valid = [probe for probe in probes if probe.state != "INVALID"]
        if not valid:
            raise ConfigError(f"no trial of the search is valid: {probes[0].reason}")
        return request, space, valid[0]

    def objectives(self, experiment: Experiment, space: Space) -> list[Objective]:
        """Returns the objectives of the sweep.

        Raises:
            ConfigError: `sweep.objective` names a metric that is not measured.
        """
        return choose_objectives(
            self._plan_cache.metric_names(experiment),
            experiment.sweep.objective,
            experiment.sweep.direction,
            losses_differ=any(axis.key.split(".")[0] == "loss" for axis in space.axes),
        )

    @cached_property
    def _composer(self) -> Composer:
        return composer_of(self)

    @cached_property
    def _plan_cache(self) -> PlanCache:
        return PlanCache()


def plain(value: Any) -> Any:
    """Converts a config node to plain Python values; other values are returned as they are."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

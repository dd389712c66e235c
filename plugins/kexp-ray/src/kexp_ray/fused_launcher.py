"""`hydra/launcher=fused_ray`: trials as lanes of compiled programs, on every node of a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from kexp.launching import Events, Feed, Fused, FusedLauncher, Trial
from kexp_ray.launcher import RayLauncher

__all__ = ["FusedRayLauncher"]


class FusedRayLauncher(RayLauncher):
    """Trials as lanes, on actors each of which is an engine; what cannot be a lane runs as by `RayLauncher`.

    Its parameters are that launcher's: `num_cpus` and the like are what an engine takes, or a trial that is no lane.
    """

    @cached_property
    def _fused(self) -> FusedLauncher:
        lanes = FusedLauncher()
        lanes.name = "fused_ray"  # as the user chose it
        return lanes

    def run_tasks(self, tasks: Feed, events: Events) -> None:
        if not tasks:
            return
        with self.connected() as crew_of:
            from kexp_ray.engines import RayEngines
            from kexp_ray.lane_worker import LaneWorker

            crew, ran = crew_of(LaneWorker), self.ran(events.settings)
            engines: list[RayEngines] = []

            def engines_of(fused: Fused) -> RayEngines:
                made = RayEngines(crew, ran, events, fused, self._fused.groups, self.memory_limit_mb)
                engines.append(made)
                return made

            def run_others(ordinary: Feed, events: Events) -> None:
                engines[0].let_go()
                RayLauncher.run_tasks(self, ordinary, events)

            self._fused.run_on(engines_of, run_others, tasks, events)

    def adapt(self, config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
        """See `FusedLauncher.adapt`."""
        return self._fused.adapt(config, overrides)

    def explain(self, trials: Sequence[Trial], folder: Path) -> tuple[list[str], float]:
        """How these trials would run, and for how many seconds; found out on, and for, this machine alone."""
        return self._fused.explain(trials, folder)

    def closing(self) -> list[str]:
        """Groups, what cannot be a lane, and where trials ran."""
        return [*self._fused.closing(), *super().closing()]

"""`hydra/launcher=fused_ray`: trials as lanes of compiled programs, on every node of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from kexp.schema import Fused, Sweep
from kexp.sweeps.feed import Feed, as_feed
from kexp.sweeps.launch.fusing import FusedLauncher
from kexp.sweeps.trials import Outcome, Task, Trial
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

    def run_tasks(
        self,
        tasks: Sequence[Task] | Feed,
        *,
        settings: Sweep,
        on_start: Callable[[int], None],
        on_epoch: Callable[[int, int, Mapping[str, float]], str | None],
        on_end: Callable[[Outcome], bool],
    ) -> None:
        feed = as_feed(tasks)
        if not feed:
            return
        with self.connected() as crew_of:
            from kexp_ray.engines import RayEngines
            from kexp_ray.lane_worker import LaneWorker

            crew, ran = crew_of(LaneWorker), self.ran(settings)
            engines: list[RayEngines] = []

            def here(fused: Fused) -> RayEngines:
                told = (on_start, on_epoch, on_end)
                made = RayEngines(crew, ran, settings, fused, *told, self._fused.groups, self.memory_limit_mb)
                engines.append(made)
                return made

            def others(ordinary: Sequence[Task], **told: Any) -> None:
                engines[0].let_go()
                RayLauncher.run_tasks(self, ordinary, **told)

            told = {"settings": settings, "on_start": on_start, "on_epoch": on_epoch, "on_end": on_end}
            self._fused.run_on(here, others, feed, **told)

    def adapt(self, config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
        """See `FusedLauncher.adapt`."""
        return self._fused.adapt(config, overrides)

    def explain(self, trials: Sequence[Trial], folder: Path) -> tuple[list[str], float]:
        """How these trials would run, and for how many seconds; found out on, and for, this machine alone."""
        return self._fused.explain(trials, folder)

    def closing(self) -> list[str]:
        """Groups, what cannot be a lane, and where trials ran."""
        return [*self._fused.closing(), *super().closing()]

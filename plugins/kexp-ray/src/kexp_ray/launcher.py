"""`hydra/launcher=ray`: trials on a Ray cluster. Ray itself is imported when a sweep runs, and not before."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kexp.errors import ConfigError
from kexp.schema import Sweep
from kexp.sweep.feed import Feed, as_feed
from kexp.sweep.launchers import HydraSide, ProcessesLauncher
from kexp.sweep.trials import Outcome, Task

__all__ = ["RayLauncher"]

# What becomes of a trial is the table's to say; Ray's own processes would say it too, in between.
_SAID_BY_US = "^(A worker died or was killed|The node with node id|The actor is dead|.*[Rr]aylet)"


class RayLauncher(HydraSide):
    """Trials on the warm actors of a Ray cluster.

    Args:
        address: the cluster's; by default the one that RAY_ADDRESS names, else one that runs on this machine, else one
            that is started for the sweep (`local` always starts one).
        num_cpus: cores of a trial; > 0.
        num_gpus: GPUs of a trial, 0.5 for half of one; 0 hides them.
        resources: what else a trial takes of its node, by the cluster's names.
        n_workers: trials at once at most; as many as have room unless given.
        max_retries: how often a trial is tried again after its node was lost. After its process died, it is
            `sweep.max_retries` times.
        memory_limit_mb: an actor above this when a trial ends is replaced.
        runtime_env: Ray's runtime environment, `{pip: [kexp-ray], env_vars: {...}}`.
        scratch: a folder on the nodes to work in; files come back to the driver. Unless given, trials work in the
            sweep's own folder on nodes that see it, and in a temporary one elsewhere.
    """

    def __init__(
        self,
        address: str | None = None,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: dict[str, float] | None = None,
        n_workers: int | None = None,
        max_retries: int = 3,
        memory_limit_mb: float = 4096,
        runtime_env: dict[str, Any] | None = None,
        scratch: str | None = None,
    ) -> None:
        _check("num_cpus", num_cpus, "must be a number above 0", lambda value: value > 0)
        _check("num_gpus", num_gpus, "must be a number, at least 0", lambda value: value >= 0)
        _check("memory_limit_mb", memory_limit_mb, "must be a number above 0", lambda value: value > 0)
        _check("max_retries", max_retries, "must be a whole number, at least 0", lambda value: value >= 0, int)
        if n_workers is not None:
            _check("n_workers", n_workers, "must be a whole number, at least 1", lambda value: value >= 1, int)
        self.address, self.n_workers, self.max_retries = address, n_workers, max_retries
        self.num_cpus, self.num_gpus, self.resources = num_cpus, num_gpus, _mapping("resources", resources)
        for name, amount in self.resources.items():
            _check(f"resources.{name}", amount, "must be a number above 0", lambda value: value > 0)
        self.memory_limit_mb, self.scratch = memory_limit_mb, scratch
        self.runtime_env = _mapping("runtime_env", runtime_env)
        self._closing: list[str] = []

    def run_tasks(
        self,
        tasks: Sequence[Task] | Feed,
        *,
        settings: Sweep,
        on_start: Callable[[int], None],
        on_epoch: Callable[[int, int, Mapping[str, float]], str | None],
        on_end: Callable[[Outcome], bool],
    ) -> None:
        waiting = as_feed(tasks)
        if not waiting:
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", _SAID_BY_US)
        from kexp_ray.cluster import Needs, connected
        from kexp_ray.pool import RayPool

        with connected(self.address, self.runtime_env) as runtime_env:
            pool = RayPool(
                Needs(self.num_cpus, self.num_gpus, self.resources),
                n_workers=self.n_workers,
                timeout_s=settings.trial_timeout_s,
                max_retries=settings.max_retries,
                node_retries=self.max_retries,
                memory_limit_mb=self.memory_limit_mb,
                runtime_env=runtime_env,
                scratch=self.scratch or "",
            )
            saving = pool.run(waiting, on_start=on_start, on_epoch=on_epoch, on_end=on_end)
            self._closing = pool.closing()
        if saving:  # models are added to runs that are over, by the machine whose store it is
            here = ProcessesLauncher(n_workers=1 if len(saving) < 8 else None)
            here.run_tasks(saving, settings=settings, on_start=on_start, on_epoch=on_epoch, on_end=on_end)

    def closing(self) -> list[str]:
        """Where trials ran, and what was run again."""
        return list(self._closing)


def _check(
    name: str, value: Any, rule: str, holds: Callable[[Any], bool], kind: type | tuple[type, ...] = (int, float)
) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not holds(value):
        raise ConfigError.at(f"hydra.launcher.{name}", rule, value)


def _mapping(name: str, value: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    if plain is not None and not isinstance(plain, dict):
        raise ConfigError.at(f"hydra.launcher.{name}", "must be a mapping", plain)
    return {str(key): each for key, each in (plain or {}).items()}

"""`hydra/launcher=ray`: trials on a Ray cluster. Ray itself is imported when a sweep runs, and not before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError
from kexp.launching import Events, Feed, HydraLauncher, ProcessesLauncher, Sweep, Task
from kexp_ray.retries import Ran

if TYPE_CHECKING:
    from kexp_ray.crew import Crew

__all__ = ["RayLauncher", "save_here"]

# What becomes of a trial is the table's to say; Ray's own processes would say it too, in between.
_SAID_BY_US = "^(A worker died or was killed|The node with node id|The actor is dead|.*[Rr]aylet)"


class RayLauncher(HydraLauncher):
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
        self.address, self.max_retries = address, max_retries
        self.most = n_workers  # how many there will be is the cluster's to say, and not for `kexp plan` to count with
        self.num_cpus, self.num_gpus, self.resources = num_cpus, num_gpus, _mapping("resources", resources)
        for name, amount in self.resources.items():
            _check(f"resources.{name}", amount, "must be a number above 0", lambda value: value > 0)
        self.memory_limit_mb, self.scratch = memory_limit_mb, scratch
        self.runtime_env = _mapping("runtime_env", runtime_env)
        self._ran: Ran | None = None

    def run_tasks(self, tasks: Feed, events: Events) -> None:
        if not tasks:
            return
        with self.connected() as crew_of:
            from kexp_ray.pool import RayPool
            from kexp_ray.worker import TrialWorker

            pool = RayPool(crew_of(TrialWorker), self.ran(events.settings), events, self.memory_limit_mb)
            saving = pool.run(tasks)
        if saving:
            save_here(saving, events)

    def closing(self) -> list[str]:
        """Where trials ran, and what was run again."""
        return [] if self._ran is None else self._ran.closing()

    def ran(self, settings: Sweep) -> Ran:
        """Where the sweep's trials ran, for whoever runs some of them."""
        self._ran = self._ran or Ran(settings.max_retries, self.max_retries)
        return self._ran

    @contextmanager
    def connected(self) -> Iterator[Callable[[type], Crew]]:
        """The cluster, connected within the block: what makes a crew of actors of some class.

        Raises:
            ConfigError: Ray is not installed, or there is no cluster at the address.
        """
        try:
            import ray  # noqa: F401
        except ImportError:
            raise ConfigError("hydra/launcher: Ray is not installed here; pip install kexp-ray") from None
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", _SAID_BY_US)
        from kexp_ray.cluster import Needs, connected
        from kexp_ray.crew import Crew

        needs = Needs(self.num_cpus, self.num_gpus, self.resources)
        with connected(self.address, self.runtime_env) as runtime_env:
            yield lambda kind: Crew(
                kind, needs, n_workers=self.most, runtime_env=runtime_env, scratch=self.scratch or ""
            )


def save_here(tasks: Sequence[Task], events: Events) -> None:
    """Saves models, which are added to runs that are over: by the machine whose store it is.

    Args:
        tasks: those that save.
        events: of the sweep.
    """
    ProcessesLauncher(n_workers=1 if len(tasks) < 8 else None).run_tasks(Feed(tasks), events)


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

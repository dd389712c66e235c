"""A sweep's trials as Hydra jobs: their folders, callbacks and config files.

kexp's launchers do not need Hydra's own config of a trial, which takes tens of milliseconds to compose. It is composed
only if `hydra.sweep.subdir`, `hydra.callbacks` or `hydra.output_subdir` is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.config import explain
from kexp.errors import ConfigError, KexpError
from kexp.sweeps.trials import Trial

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["Jobs", "sweep_folder"]

_DIR, _SUBDIR, _OUTPUT = "multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}", "${hydra.job.num}", ".hydra"  # Hydra's defaults


def sweep_folder(config: DictConfig) -> Path | None:
    """Returns the folder that `hydra.sweep.dir` names, or None if it has Hydra's default."""
    if _raw_sweep(config)["dir"] == _DIR:
        return None
    with _resolving(config):
        return Path(str(config.hydra.sweep.dir))


class Jobs:
    """Treats trials as Hydra jobs.

    Args:
        owner: a sweeper or launcher that Hydra has set up.
    """

    def __init__(self, owner: Any) -> None:
        self._loader, self._config = owner.hydra_context.config_loader, owner.config
        self._task = getattr(getattr(owner, "launcher", owner), "task_function", None)
        self._hooks = owner.hydra_context.callbacks
        self._named = _raw_sweep(owner.config)["subdir"] != _SUBDIR
        written = owner.config.hydra.output_subdir
        self._written = "" if written in (None, _OUTPUT) else str(written)
        self._taken: dict[str, int] = {}
        self._running: dict[int, DictConfig] = {}

    def subdir(self, trial: Trial) -> str:
        """Returns the trial's folder, relative to the sweep's folder.

        Raises:
            ConfigError: another trial has the same folder, or `hydra.sweep.subdir` does not resolve.
        """
        if not self._named:
            return str(trial.number)
        if trial.state == "INVALID" or not trial.config:
            return str(trial.number)
        config = self._job(trial)
        with _resolving(config):
            found = str(config.hydra.sweep.subdir)
        other = self._taken.setdefault(found, trial.number)
        if other != trial.number:
            raise ConfigError(
                f"hydra.sweep.subdir: gives trials {other} and {trial.number} one folder, {found}; "
                "${hydra.job.num} in it tells them apart"
            )
        return found

    def check(self, trials: Sequence[Trial], grows: bool) -> None:
        """Checks that no two trials share a folder.

        Args:
            trials: the trials planned so far.
            grows: whether more trials will follow, which may differ in their number only.

        Raises:
            ConfigError: two trials share a folder.
        """
        if self._named:
            for trial in trials:
                self.subdir(trial)
            if grows and trials:
                self.subdir(Trial(trials[0].number + 1, trials[0].overrides, trials[0].config))
                self._taken.clear()

    def started(self, trial: Trial) -> None:
        """Writes the config files of a trial that starts, and calls `on_job_start` of the callbacks."""
        if not (self._hooks.callbacks or self._written):
            return
        from hydra.core.utils import _save_config
        from omegaconf import OmegaConf

        config = self._job(trial)
        config.hydra.runtime.output_dir = str(trial.folder.resolve())
        if self._written:
            folder = trial.folder / self._written
            _save_config(_task_config(config), "config.yaml", folder)
            _save_config(OmegaConf.create({"hydra": config.hydra}), "hydra.yaml", folder)
            _save_config(config.hydra.overrides.task, "overrides.yaml", folder)
        self._running[trial.number] = config
        self._hooks.on_job_start(config=config, task_function=self._task)

    def ended(self, trial: Trial, value: Any) -> None:
        """Calls `on_job_end` of the callbacks with the trial's result.

        Args:
            trial: the trial, which is over.
            value: the value of the objective; None if the trial has none.
        """
        config = self._running.pop(trial.number, None)
        if config is None or not self._hooks.callbacks:
            return
        from hydra.core.utils import JobReturn, JobStatus

        ended = JobReturn(overrides=list(trial.overrides), cfg=_task_config(config), task_name="kexp")
        ended.status = JobStatus.COMPLETED if trial.good else JobStatus.FAILED
        ended.working_dir = str(trial.folder)
        ended.return_value = value if trial.good else KexpError(trial.reason)
        self._hooks.on_job_end(config=config, job_return=ended)

    def _job(self, trial: Trial) -> DictConfig:
        config: DictConfig = self._loader.load_sweep_config(self._config, list(trial.overrides))
        config.hydra.job.num, config.hydra.job.id = trial.number, f"{config.hydra.job.name}_{trial.number}"
        return config


def _task_config(config: DictConfig) -> DictConfig:
    from omegaconf import OmegaConf

    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _raw_sweep(config: DictConfig) -> dict[str, Any]:
    """Returns `hydra.sweep` with interpolations unresolved."""
    from omegaconf import OmegaConf

    found = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    assert isinstance(found, dict)
    return {str(name): value for name, value in found.items()}


@contextmanager
def _resolving(config: DictConfig) -> Iterator[None]:
    """Resolves `${hydra:...}` against this config within the block; failures become a `ConfigError`."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf.errors import OmegaConfBaseException

    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    except OmegaConfBaseException as error:
        raise explain(error, []) from error
    finally:
        HydraConfig.instance().cfg = before

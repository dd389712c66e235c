"""A sweep's trials as Hydra's jobs, where somebody asks for them as such: folders, callbacks, files of the config.

A launcher of kexp's needs no config of Hydra's for a trial, which takes tens of milliseconds to compose. It is composed
where `hydra.sweep.subdir`, `hydra.callbacks` or `hydra.output_subdir` are set.
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
    """The folder that `hydra.sweep.dir` names; None where nobody has set it."""
    if _raw(config, "sweep")["dir"] == _DIR:
        return None
    with _resolving(config):
        return Path(str(config.hydra.sweep.dir))


class Jobs:
    """The trials as jobs.

    Args:
        owner: a sweeper or launcher that Hydra has set up.
    """

    def __init__(self, owner: Any) -> None:
        self._loader, self._config = owner.hydra_context.config_loader, owner.config
        self._task = getattr(getattr(owner, "launcher", owner), "task_function", None)
        self._hooks = owner.hydra_context.callbacks
        self._named = _raw(owner.config, "sweep")["subdir"] != _SUBDIR
        written = owner.config.hydra.output_subdir
        self._written = "" if written in (None, _OUTPUT) else str(written)
        self._taken: dict[str, int] = {}
        self._running: dict[int, DictConfig] = {}

    def subdir(self, trial: Trial) -> str:
        """The trial's folder in the sweep's.

        Raises:
            ConfigError: it is another trial's too, or does not follow from the config.
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
        """Refuses folders that several trials would share.

        Args:
            trials: those that are known.
            grows: whether there will be others, which may differ in no more than their number.

        Raises:
            ConfigError: two share one.
        """
        if self._named:
            for trial in trials:
                self.subdir(trial)
            if grows and trials:
                self.subdir(Trial(trials[0].number + 1, trials[0].overrides, trials[0].config))
                self._taken.clear()

    def started(self, trial: Trial) -> None:
        """Leaves the files of the trial's config, and tells the callbacks."""
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
        """Tells the callbacks what became of the trial.

        Args:
            trial: it.
            value: of the objective; None where it has none.
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


def _raw(config: DictConfig, key: str) -> dict[str, Any]:
    from omegaconf import OmegaConf

    found = OmegaConf.to_container(config.hydra[key], resolve=False)
    assert isinstance(found, dict)
    return {str(name): value for name, value in found.items()}


@contextmanager
def _resolving(config: DictConfig) -> Iterator[None]:
    """`${hydra:...}` is of this config within the block; what does not resolve is told in a sentence."""
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

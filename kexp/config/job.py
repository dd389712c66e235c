"""One experiment as one of Hydra's jobs, in this process: with its folder, logging, environment and callbacks."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kexp.config.compose import refuse_several
from kexp.config.explain import explain
from kexp.config.hooks import hooks_of
from kexp.errors import ConfigError

__all__ = ["check_job", "run_as_job", "show_logs"]


def run_as_job(hydra: Any, config: DictConfig, overrides: Sequence[str], task: Callable[[DictConfig], Any]) -> Any:
    """Runs the task on the config; returns what it returns.

    Args:
        hydra: opened.
        config: composed of the overrides.
        overrides: as on the command line.
        task: given the config without Hydra's own node.

    Raises:
        ConfigError: an override has several values, or a setting of Hydra's cannot be met.
        Exception: what the task raised.
    """
    from hydra.core.utils import JobStatus, run_job
    from hydra.types import HydraContext, RunMode

    refuse_several(hydra, overrides)
    check_job(config)
    axes = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({}), resolve=False)
    if axes:
        varied = ", ".join(map(str, axes))
        print(f"kexp: hydra.sweeper.params: {varied}: counts in a sweep alone, kexp -m ...", file=sys.stderr)
    config.hydra.mode = RunMode.RUN
    show_logs(config)
    hooks, name = hooks_of(config), config.hydra.job.config_name
    hooks.on_run_start(config=config, config_name=name)
    ended = run_job(
        task_function=task,
        config=config,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
        hydra_context=HydraContext(config_loader=hydra.config_loader, callbacks=hooks),
    )
    hooks.on_run_end(config=config, config_name=name, job_return=ended)
    if ended.status is not JobStatus.COMPLETED:
        error: Exception = ended._return_value  # the property would print Hydra's own line first
        raise explain(error, overrides) if isinstance(error, OmegaConfBaseException) else error
    return ended.return_value


def check_job(config: DictConfig) -> None:
    """Refuses what Hydra would do to a job, and kexp does not.

    Raises:
        ConfigError: there is such a setting.
    """
    if config.hydra.job.chdir:
        raise ConfigError(
            "hydra.job.chdir: must be false, got true; a run's files are in its folder anyway, and a relative path is "
            "one of the folder that kexp was started in"
        )


def show_logs(config: DictConfig) -> None:
    """Sets up Hydra's logging. With `hydra.verbose` it is shown, though kexp's default shows no logs at all."""
    from hydra.core.utils import configure_log

    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    if config.hydra.verbose and config.hydra.job_logging.get("root") is None:
        logging.basicConfig(format="[%(asctime)s][%(name)s][%(levelname)s] - %(message)s")

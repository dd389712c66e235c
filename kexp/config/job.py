"""Runs one experiment as a Hydra job in this process, with Hydra's folder, logging, environment and callbacks."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kexp.config.compose import refuse_several
from kexp.config.hooks import hooks_of
from kexp.config.overrides.explain import explain
from kexp.errors import ConfigError
from kexp.registry.groups import key_of

__all__ = ["check_job", "configure_logging", "refuse_sweeps_settings", "run_as_job"]


def run_as_job(hydra: Any, config: DictConfig, overrides: Sequence[str], task: Callable[[DictConfig], Any]) -> Any:
    """Runs a task as a Hydra job.

    Args:
        hydra: an open Hydra; see `open_hydra`.
        config: composed of `overrides`.
        overrides: as on the command line.
        task: called with the config without Hydra's own node.

    Returns:
        The task's return value.

    Raises:
        ConfigError: an override has several values or is for sweeps, or kexp refuses a setting of Hydra's.
        Exception: raised by the task.
    """
    from hydra.core.utils import JobStatus, run_job
    from hydra.types import HydraContext, RunMode

    refuse_several(hydra, overrides)
    refuse_sweeps_settings(overrides)
    check_job(config)
    axes = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({}), resolve=False)
    unused = [f"hydra.sweeper.params: {', '.join(map(str, axes))}"] if axes else []
    unused += [each for each in overrides if re.match(r"hydra[./](sweep|sweeper|launcher)\b", key_of(each))]
    for each in unused:
        print(f"kexp: {each}: applies to a sweep only, kexp -m ...", file=sys.stderr)
    config.hydra.mode = RunMode.RUN
    configure_logging(config)
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


def refuse_sweeps_settings(overrides: Sequence[str]) -> None:
    """Refuses kexp's settings of sweeps in a single run, which would ignore them.

    Args:
        overrides: as on the command line.

    Raises:
        ConfigError: an override sets such a key.
    """
    for each in overrides:
        key, value = key_of(each), each.partition("=")[2]
        if key.startswith("sweep.") or (key == "sweep" and value.startswith("{")):
            written = f"{key}={value}"
            raise ConfigError(f"{key}: applies to a sweep only; write kexp -m {written}, in Python kexp.sweep")


def check_job(config: DictConfig) -> None:
    """Refuses job settings of Hydra's that kexp does not support.

    Raises:
        ConfigError: `hydra.job.chdir` is true.
    """
    if config.hydra.job.chdir:
        raise ConfigError(
            "hydra.job.chdir: must be false, got true; a run's files are in its folder anyway, and relative paths "
            "start at the folder that kexp was started in"
        )


def configure_logging(config: DictConfig) -> None:
    """Configures Hydra's logging. `hydra.verbose` prints logs even with kexp's default, which has no logging."""
    from hydra.core.utils import configure_log

    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    if config.hydra.verbose and config.hydra.job_logging.get("root") is None:
        logging.basicConfig(format="[%(asctime)s][%(name)s][%(levelname)s] - %(message)s")

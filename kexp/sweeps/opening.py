"""A sweep's config and sweeper from its command line, outside Hydra's own main."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kexp.config import check_overrides, conf_folder, explain, register

__all__ = ["announce_backend", "opened_sweeper", "run_sweep"]


def announce_backend(overrides: Sequence[str]) -> None:
    """Tells Keras which backend the overrides choose, before composing them imports it.

    A module of the user's, `model=my_models:wide`, is imported for its signature, and Keras with it, which then stays
    on the backend that it finds.
    """
    if "keras" in sys.modules:
        return
    for each in overrides:
        key, _, name = each.partition("=")
        if each == "trainer=compiled":
            key, name = "backend", "jax"
        if key == "backend" and name in ("tensorflow", "jax", "torch"):
            os.environ["KERAS_BACKEND"] = name


def run_sweep(arguments: Sequence[str], config_dir: str | Path | None = None) -> Any:
    """Runs `kexp -m ARGUMENTS`; returns the sweep's session.

    Args:
        arguments: see `opened_sweeper`.
        config_dir: see `opened_sweeper`.

    Raises:
        ConfigError: the arguments cannot be composed, or no trial is valid.
        SweepFailedError: some trials did not end as they should; `error.session` has them.
    """
    with opened_sweeper(arguments, config_dir) as (sweeper, swept):
        returned = sweeper.sweep(swept)
        # Somebody else's sweeper returns what it likes; our launcher knows the trials that it was given.
        return returned if hasattr(returned, "trials") else getattr(sweeper.launcher, "session", None)


@contextmanager
def opened_sweeper(arguments: Sequence[str], config_dir: str | Path | None = None) -> Iterator[tuple[Any, list[str]]]:
    """The sweeper that `kexp -m ARGUMENTS` uses, and what it is given to sweep over.

    Args:
        arguments: the command line without flags: `["optimizer=sgd,adam", "hydra/launcher=serial"]`.
        config_dir: a folder of YAML that wins over kexp's own, as `--config-dir`.

    Raises:
        ConfigError: the arguments cannot be composed.
    """
    from hydra import version
    from hydra._internal.callbacks import Callbacks
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.errors import HydraException
    from hydra.types import HydraContext, RunMode
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from kexp.sweeps.hydra_jobs import run_job
    from kexp.sweeps.plugins import register as register_plugins

    check_overrides(arguments)
    announce_backend(arguments)
    version.setbase("1.3")  # as Hydra's main does: no changing of directories
    register(config_dir)
    register_plugins()
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        hydra = Hydra.create_main_hydra2("kexp", create_config_search_path(str(conf_folder())))
        try:
            config = hydra.compose_config("config", [*arguments, "hydra.mode=MULTIRUN"], RunMode.MULTIRUN)
            context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
            sweeper = Plugins.instance().instantiate_sweeper(
                config=config, hydra_context=context, task_function=run_job
            )
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error, list(arguments)) from error
        yield sweeper, [str(each) for each in OmegaConf.to_container(config.hydra.overrides.task, resolve=False) or ()]
    finally:
        GlobalHydra.instance().hydra = before

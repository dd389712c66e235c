"""A sweep's config and sweeper from its command line, outside Hydra's own main."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kexp import registry
from kexp.config import (
    check_job,
    compose,
    compose_head,
    explain,
    hooks_of,
    key_of,
    opened,
    overrides_of,
    prepare_overrides,
    show_logs,
)
from kexp.errors import ConfigError, KexpError
from kexp.sweeps.plan.parts import Part, parts_of

__all__ = ["announce_backend", "opened_sweeper", "run_sweep"]


def announce_backend(overrides: Sequence[str], config_dir: str | Path | None = None) -> None:
    """Tells Keras which backend the overrides choose, before composing them imports it.

    A module of the user's, `model=my_models:wide`, is imported for its signature, and Keras with it, which then stays
    on the backend that it finds.
    """
    if "keras" in sys.modules:
        return
    name = None
    for each in overrides:
        key, _, value = each.partition("=")
        name = "jax" if each == "trainer=compiled" else value if key == "backend" else name
    if name is None and (":" in "".join(overrides) or any(key_of(each) == "experiment" for each in overrides)):
        with registry.unread_references():
            name = _composed_backend([each for each in overrides if "." not in key_of(each)], config_dir)
    if name in ("tensorflow", "jax", "torch"):
        os.environ["KERAS_BACKEND"] = name


def _composed_backend(overrides: Sequence[str], config_dir: str | Path | None) -> Any:
    """The backend that a preset or the primary config chooses; None where they do not compose, which is said later."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return compose(overrides, config_dir).backend
    except (HydraException, OmegaConfBaseException, KexpError):
        return None


def run_sweep(arguments: Sequence[str], config_dir: str | Path | None = None, config_name: str = "config") -> Any:
    """Runs `kexp -m ARGUMENTS`; returns the sweep's session.

    Args:
        arguments: see `opened_sweeper`.
        config_dir: see `opened_sweeper`.
        config_name: see `opened_sweeper`.

    Raises:
        ConfigError: the arguments cannot be composed, or no trial is valid.
        SweepFailedError: some trials did not end as they should; `error.session` has them.
    """
    with opened_sweeper(arguments, config_dir, config_name) as (sweeper, swept):
        config, hooks = sweeper.config, sweeper.hydra_context.callbacks
        hooks.on_multirun_start(config=config, config_name=config_name)
        try:
            returned = sweeper.sweep(swept)
        finally:  # a sweep of which some trials failed has ended as well
            hooks.on_multirun_end(config=config, config_name=config_name)
        # Somebody else's sweeper returns what it likes; our launcher knows the trials that it was given.
        return returned if hasattr(returned, "trials") else getattr(sweeper.launcher, "session", None)


@contextmanager
def opened_sweeper(
    arguments: Sequence[str], config_dir: str | Path | None = None, config_name: str = "config"
) -> Iterator[tuple[Any, list[str]]]:
    """The sweeper that `kexp -m ARGUMENTS` uses, and what it is given to sweep over.

    Args:
        arguments: the command line without flags: `["optimizer=sgd,adam", "hydra/launcher=serial"]`.
        config_dir: a folder of YAML that wins over kexp's own, as `--config-dir`.
        config_name: the primary config's, as `--config-name`.

    Raises:
        ConfigError: the arguments cannot be composed, or make no sweep together.
    """
    from hydra.core.plugins import Plugins
    from hydra.core.utils import env_override
    from hydra.errors import HydraException
    from hydra.types import HydraContext
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from kexp.sweeps.hydra_jobs import run_job
    from kexp.sweeps.plugins import register as register_plugins

    arguments = prepare_overrides(arguments)
    announce_backend(arguments, config_dir)
    with opened(config_dir) as hydra:
        register_plugins()

        def composed(chosen: Sequence[str]) -> DictConfig:
            return compose_head(hydra, [*chosen, "hydra.mode=MULTIRUN"], config_name)

        try:
            parts = parts_of(arguments, composed, hydra.config_loader)
            config = parts[0].config
            check_job(config)
            show_logs(config)
            context = HydraContext(config_loader=hydra.config_loader, callbacks=hooks_of(config))
            sweeper = Plugins.instance().instantiate_sweeper(
                config=config, hydra_context=context, task_function=run_job
            )
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error, list(arguments)) from error
        config.hydra.overrides.task = [each for each in arguments if not key_of(each).startswith(("hydra.", "hydra/"))]
        if len(parts) > 1:
            _give_parts(sweeper, parts)
        with env_override(config.hydra.job.env_set):  # for worker processes too, which inherit it
            yield sweeper, overrides_of(config)


def _give_parts(sweeper: Any, parts: list[Part]) -> None:
    """Has the sweeper sweep over all parts; one that cannot is given the presets as an axis, where that is the same."""
    if hasattr(sweeper, "parts"):
        sweeper.parts = parts
    elif any(part.config.hydra.sweeper != parts[0].config.hydra.sweeper for part in parts):
        raise ConfigError(
            "hydra.sweeper: several presets that each bring axes of their own are for hydra/sweeper=grid; "
            "run a search for each"
        )

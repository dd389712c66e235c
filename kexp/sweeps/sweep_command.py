"""Runs the sweep of a command line: composes its config and creates its sweeper, without `hydra.main`."""

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
    configure_logging,
    explain,
    hooks_of,
    key_of,
    open_hydra,
    overrides_of,
    prepare_overrides,
)
from kexp.errors import ConfigError, KexpError
from kexp.sweeps.early_engine import end_unused_engine
from kexp.sweeps.plan.parts import Part, parts_of

__all__ = ["announce_backend", "opened_sweeper", "run_sweep"]


def announce_backend(overrides: Sequence[str], config_dir: str | Path | None = None) -> None:
    """Sets `KERAS_BACKEND` to the backend that the overrides choose, before composing them imports Keras.

    Composing `model=my_models:wide` imports the user's module to read a signature. If the module imports Keras, Keras
    keeps the backend that it finds then.
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
    """Returns the backend that a preset or the primary config chooses; None if they do not compose (reported later)."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return compose(overrides, config_dir).backend
    except (HydraException, OmegaConfBaseException, KexpError):
        return None


def run_sweep(arguments: Sequence[str], config_dir: str | Path | None = None, config_name: str = "config") -> Any:
    """Runs the sweep of `kexp -m ARGUMENTS`.

    Args:
        arguments: see `opened_sweeper`.
        config_dir: see `opened_sweeper`.
        config_name: see `opened_sweeper`.

    Returns:
        The sweep's session; None if another package's sweeper and launcher do not provide it.

    Raises:
        ConfigError: the arguments cannot be composed, or no trial is valid.
        SweepFailedError: some trials failed; `error.session` has them.
    """
    with opened_sweeper(arguments, config_dir, config_name) as (sweeper, swept):
        config, hooks = sweeper.config, sweeper.hydra_context.callbacks
        hooks.on_multirun_start(config=config, config_name=config_name)
        try:
            returned = sweeper.sweep(swept)
        finally:  # also if some trials failed
            hooks.on_multirun_end(config=config, config_name=config_name)
        # Another package's sweeper may return anything; a launcher of kexp's has the session.
        return returned if hasattr(returned, "trials") else getattr(sweeper.launcher, "session", None)


@contextmanager
def opened_sweeper(
    arguments: Sequence[str], config_dir: str | Path | None = None, config_name: str = "config"
) -> Iterator[tuple[Any, list[str]]]:
    """Opens the sweeper that `kexp -m ARGUMENTS` uses.

    Args:
        arguments: the command line without flags: `["optimizer=sgd,adam", "hydra/launcher=serial"]`.
        config_dir: a folder of YAML that takes precedence over kexp's own, as `--config-dir`.
        config_name: the name of the primary config, as `--config-name`.

    Yields:
        The sweeper, and the overrides that it sweeps over.

    Raises:
        ConfigError: the arguments cannot be composed, or do not form one sweep.
    """
    from hydra.core.plugins import Plugins
    from hydra.core.utils import env_override
    from hydra.errors import HydraException
    from hydra.types import HydraContext
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from kexp.sweeps.hydra_jobs import run_job
    from kexp.sweeps.hydra_plugins import register as register_plugins

    arguments = prepare_overrides(arguments)
    announce_backend(arguments, config_dir)
    with open_hydra(config_dir) as hydra:
        register_plugins()

        def composed(chosen: Sequence[str]) -> DictConfig:
            return compose_head(hydra, [*chosen, "hydra.mode=MULTIRUN"], config_name)

        try:
            parts = parts_of(arguments, composed, hydra.config_loader)
            config = parts[0].config
            check_job(config)
            configure_logging(config)
            context = HydraContext(config_loader=hydra.config_loader, callbacks=hooks_of(config))
            sweeper = Plugins.instance().instantiate_sweeper(
                config=config, hydra_context=context, task_function=run_job
            )
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error, list(arguments)) from error
        finally:
            end_unused_engine()
        config.hydra.overrides.task = [each for each in arguments if not key_of(each).startswith(("hydra.", "hydra/"))]
        if len(parts) > 1:
            _give_parts(sweeper, parts)
        with env_override(config.hydra.job.env_set):  # worker processes inherit it
            yield sweeper, overrides_of(config)


def _give_parts(sweeper: Any, parts: list[Part]) -> None:
    """Passes the parts to the sweeper. One without `parts` sweeps over presets as an axis, if that is the same."""
    if hasattr(sweeper, "parts"):
        sweeper.parts = parts
    elif any(part.config.hydra.sweeper != parts[0].config.hydra.sweeper for part in parts):
        raise ConfigError(
            "hydra.sweeper: only hydra/sweeper=grid can sweep over presets that have axes of their own; "
            "run a search for each"
        )

"""Composes a config from overrides as the user typed them, for commands and for Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from kexp.config.compose import compose, plain
from kexp.config.overrides.explain import explain
from kexp.config.overrides.prepare import prepare_overrides
from kexp.config.source import KEEP

__all__ = ["compose_typed"]


def compose_typed(overrides: Sequence[str], config_dir: str | Path | None = KEEP) -> DictConfig:
    """Composes a config from overrides and checks that its interpolations resolve.

    Args:
        overrides: as on the command line.
        config_dir: a folder of YAML that takes precedence over kexp's own; the command line's by default.

    Raises:
        ConfigError: the overrides cannot be parsed or composed.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    prepared = prepare_overrides(overrides)
    try:
        config = compose(prepared, config_dir)
        plain(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, prepared) from error
    return config

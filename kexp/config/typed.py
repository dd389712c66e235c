"""From what a user typed to a config: the one way for commands and for Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from kexp.config.compose import compose, plain
from kexp.config.explain import explain, prepare_overrides
from kexp.config.source import KEEP

__all__ = ["compose_typed"]


def compose_typed(overrides: Sequence[str], config_dir: str | Path | None = KEEP) -> DictConfig:
    """The config of overrides as they were typed, its interpolations known to resolve.

    Args:
        overrides: as on the command line.
        config_dir: a folder of YAML that wins over kexp's own; the command line's unless given.

    Raises:
        ConfigError: they cannot be read, or composed.
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

"""Hydra's callbacks, `hydra.callbacks`. A callback that fails is reported in a line and stops nothing."""

from __future__ import annotations

import sys
from typing import Any

from hydra._internal.callbacks import Callbacks
from omegaconf import DictConfig

from kexp.errors import ConfigError

__all__ = ["Hooks", "hooks_of"]


class Hooks(Callbacks):
    """The callbacks of a config, called in order, and in reverse order at an end, as Hydra does."""

    def _notify(self, function_name: str, reverse: bool = False, **given: Any) -> None:
        for each in reversed(self.callbacks) if reverse else self.callbacks:
            try:
                getattr(each, function_name)(**given)
            except Exception as error:
                what = f"{type(each).__name__}.{function_name}"
                print(f"kexp: hydra.callbacks: {what}: {type(error).__name__}: {error}", file=sys.stderr)


def hooks_of(config: DictConfig) -> Hooks:
    """Instantiates the callbacks of a config.

    Raises:
        ConfigError: a callback cannot be instantiated.
    """
    from hydra.errors import InstantiationException

    try:
        return Hooks(config)
    except InstantiationException as error:
        message = str(error).partition("\n")[0].partition(", set env var")[0]
        raise ConfigError(f"hydra.callbacks: {message}") from error

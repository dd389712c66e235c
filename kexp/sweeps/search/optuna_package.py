"""Optuna as an optional dependency: imports it, turns off its log output, or reports how to install it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from kexp.errors import ConfigError

__all__ = ["import_optuna", "no_warnings"]


def import_optuna() -> Any:
    """Imports Optuna, and turns off its log output, because kexp prints the progress of a search itself.

    Returns:
        The module `optuna`.

    Raises:
        ConfigError: Optuna is not installed, or is older than 5.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError("hydra/sweeper=optuna needs Optuna 5: pip install 'kexp[optuna]'") from None
    if int(optuna.__version__.split(".")[0]) < 5:
        raise ConfigError(
            f"hydra/sweeper=optuna needs Optuna 5, and {optuna.__version__} is installed: pip install 'kexp[optuna]'"
        )
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


@contextlib.contextmanager
def no_warnings() -> Iterator[None]:
    """Suppresses Optuna's warnings within the block; most are about experimental features."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

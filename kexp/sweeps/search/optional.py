"""Optuna, where it is installed: imported here first, kept silent, and missed with the command that installs it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from kexp.errors import ConfigError

__all__ = ["require_optuna", "silent"]


def require_optuna() -> Any:
    """The module, its log lines off: what a user sees of a search is ours to say.

    Raises:
        ConfigError: it is not installed, or too old.
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
def silent() -> Iterator[None]:
    """Without Optuna's warnings, on experimental features for the most part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""Optional content of a run that the user configures: files (`tracking.artifacts`) and system metrics."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from kexp.errors import ConfigError
from kexp.schema import Tracking
from kexp.tracking import Tracker, log_system_metrics

__all__ = ["check_extras", "log_extras", "measures_system"]

_FOLDER = "artifacts"  # artifact folder of the user's files, so that they cannot collide with kexp's own
_VARIABLE = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


def check_extras(tracking: Tracking) -> None:
    """Checks the configured files before any compute.

    Raises:
        ConfigError: a file does not exist, or two files have the same name.
    """
    if not tracking.enabled:
        return
    key, names = "tracking.artifacts", dict[str, str]()
    for given in tracking.artifacts:
        path = _absolute_path(given)
        if not path.exists():
            raise ConfigError.at(key, "must be files and folders that exist", given)
        if names.setdefault(path.name, given) != given:
            raise ConfigError(f"{key}: must be of different names, but {names[path.name]!r} and {given!r} are not")


@contextlib.contextmanager
def log_extras(tracker: Tracker, tracking: Tracking) -> Iterator[None]:
    """Logs the user's files, and system metrics until the block ends."""
    with log_system_metrics(tracker, tracking.enabled and measures_system(tracking)):
        for given in tracking.artifacts:
            tracker.log_file(_absolute_path(given), _FOLDER)
        yield


def measures_system(tracking: Tracking) -> bool:
    """Returns whether to log system metrics: the config decides, or else MLflow's environment variable."""
    if tracking.system_metrics is None:
        return os.environ.get(_VARIABLE, "").lower() in ("true", "1")
    return tracking.system_metrics


def _absolute_path(given: str) -> Path:
    return Path(given).expanduser().resolve()

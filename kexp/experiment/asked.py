"""What the user asks to be recorded besides what a run tells by itself: files of theirs, and the machine's metrics."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from kexp.errors import ConfigError
from kexp.schema import Tracking
from kexp.tracking import Tracker, measured

__all__ = ["as_asked", "check_asked", "measures_system"]

_FOLDER = "artifacts"  # of a run's artifacts: what is kept there meets none of kexp's own names
_VARIABLE = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


def check_asked(tracking: Tracking) -> None:
    """Refuses, before any compute, what cannot be recorded.

    Raises:
        ConfigError: a file is not there, or two have one name.
    """
    if not tracking.enabled:
        return
    key, names = "tracking.artifacts", dict[str, str]()
    for given in tracking.artifacts:
        path = _path(given)
        if not path.exists():
            raise ConfigError.at(key, "must be files and folders that exist", given)
        if names.setdefault(path.name, given) != given:
            raise ConfigError(f"{key}: must be of different names, but {names[path.name]!r} and {given!r} are not")


@contextlib.contextmanager
def as_asked(tracker: Tracker, tracking: Tracking) -> Iterator[None]:
    """Records the user's own files, and measures the machine until the block ends."""
    with measured(tracker, tracking.enabled and measures_system(tracking)):
        for given in tracking.artifacts:
            tracker.log_file(_path(given), _FOLDER)
        yield


def measures_system(tracking: Tracking) -> bool:
    """Whether the machine is measured; where the config does not say, what MLflow was told counts."""
    if tracking.system_metrics is None:
        return os.environ.get(_VARIABLE, "").lower() in ("true", "1")
    return tracking.system_metrics


def _path(given: str) -> Path:
    return Path(given).expanduser().resolve()

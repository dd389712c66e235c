"""A tracker that records nothing, for `tracking=none`."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from kexp.tracking.record.row_tracker import RowTracker
from kexp.tracking.record.rows import Row
from kexp.tracking.tracker import Status, Tracker

__all__ = ["null_run"]


class UntrackedRun(RowTracker):
    """A tracker that accepts every call and records nothing."""

    def put(self, row: Row) -> None:
        pass

    def log_figure(self, *drawing: Any, **options: Any) -> None:
        pass

    def log_keras_model(self, *model: Any, **how: Any) -> None:
        pass

    def end(self, status: Status, reason: str = "") -> None:
        pass


def null_run(*, name: str | None, folder: Path) -> Tracker:
    """Return a tracker that records nothing, for `tracking=none`.

    Args:
        name: the run's name; `untracked` unless given.
        folder: the folder of the run's files.
    """
    return UntrackedRun(uuid.uuid4().hex, name or "untracked", folder)

"""A run that stays in memory until it has ended, and is then written as a whole: a trial of a sweep."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.tracking.record.rows import Row, join_rows
from kexp.tracking.record.run_record import RunRecord
from kexp.tracking.record.tracker import Status, Tracker, now_ms, reason_tags

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CollectedRun"]


class CollectedRun(Tracker):
    """Collects what a run logs in one `RunRecord`. Does not import MLflow.

    It ignores models, because the sweep decides at its end which models it keeps.

    Args:
        name: the run's name.
        folder: the folder of the run's files, which must exist until the record is written.
        tags: the run's first tags.
        parent_run_id: the run of the sweep.
    """

    def __init__(
        self, name: str, folder: Path, *, tags: Mapping[str, Any] | None = None, parent_run_id: str | None = None
    ) -> None:
        super().__init__(uuid.uuid4().hex, name, folder)
        self.parent_run_id = parent_run_id
        self.start_ms = now_ms()
        self._end: Row | None = None
        self.set_tags(tags or {})

    def log_figure(self, drawing: str, arrays: Mapping[str, np.ndarray] | None = None, **options: Any) -> None:
        from kexp.tracking.record.figures import draw_figure

        file = draw_figure(drawing, self.folder / "figures" / f"{drawing}.png", arrays or {}, options)
        self.log_file(file, "figures")

    def end(self, status: Status, reason: str = "") -> None:
        if self._end is None:
            self._end = {"end": {"status": status, "time_ms": now_ms()}}
            self.set_tags(reason_tags(reason))

    def record(self) -> RunRecord:
        """Returns the record. A run that has not ended counts as KILLED now."""
        end = self._end or {"end": {"status": "KILLED", "time_ms": now_ms()}}
        about = {"name": self.name, "start_ms": self.start_ms, "run_id": self.run_id}
        return RunRecord.from_row({**about, "parent_run_id": self.parent_run_id}, join_rows([*self.rows, end]))

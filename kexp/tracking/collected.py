"""A run that is kept in memory until it is over, to be written whole: the trials of a sweep."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import StoreError
from kexp.tracking.record import DatasetRecord, RunRecord
from kexp.tracking.rows import artifact_path
from kexp.tracking.tracker import Status

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["CollectedRun"]


class CollectedRun:
    """Takes what a run tells and gives it back as one `RunRecord`. Imports no MLflow.

    Args:
        name: the run's name.
        folder: where the run's files are; they must stay until the record is written.
        tags: the run's first tags.
        parent_run_id: the sweep's run.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        tags: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
    ) -> None:
        self.name, self.folder = name, folder
        self.run_id = uuid.uuid4().hex
        self.notice = ""
        self.model_id: str | None = None
        self.parent_run_id = parent_run_id
        self.tags: dict[str, Any] = dict(tags or {})
        self.params: dict[str, Any] = {}
        self.points: list[tuple[str, float, int, int]] = []
        self.texts: dict[str, str] = {}
        self.files: list[tuple[Path, str]] = []
        self.datasets: list[DatasetRecord] = []
        self.start_ms = _now_ms()
        self.ended: tuple[Status, int] | None = None

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.params.update(params)

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        at = timestamp_ms if timestamp_ms is not None else _now_ms()
        self.points += [(key, float(value), step, at) for key, value in metrics.items()]

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        self.tags.update(tags)

    def log_text(self, text: str, path: str) -> None:
        self.texts[str(artifact_path(path))] = text

    def log_file(self, file: Path, folder: str = "") -> None:
        if not file.exists():
            raise StoreError(f"{file}: there is no such file to record as an artifact")
        self.files.append((file, folder))

    def log_figure(self, drawing: str, arrays: Mapping[str, np.ndarray] | None = None, **options: Any) -> None:
        from kexp.tracking.figures import draw_figure

        self.log_file(
            draw_figure(drawing, self.folder / "figures" / f"{drawing}.png", arrays or {}, options), "figures"
        )

    def log_dataset(self, *, name: str, digest: str, context: str, **described: Any) -> None:
        self.datasets.append(DatasetRecord(name, digest, context, **described))

    def log_keras_model(self, model: keras.Model, x: np.ndarray, y_pred: np.ndarray, **how: Any) -> None:
        """Left to the end of the sweep, when it is known which models are kept."""

    def end(self, status: Status, reason: str = "") -> None:
        if self.ended is None:
            self.ended = (status, _now_ms())
            if reason:
                self.tags["kexp.reason"] = " ".join(reason.split())[:500]

    def record(self) -> RunRecord:
        """All of it. A run that has not ended counts as KILLED now."""
        status, end_ms = self.ended or ("KILLED", _now_ms())
        return RunRecord(
            name=self.name,
            status=status,
            start_ms=self.start_ms,
            end_ms=end_ms,
            params=self.params,
            metrics=self.points,
            tags=self.tags,
            parent_run_id=self.parent_run_id,
            texts=self.texts,
            files=self.files,
            datasets=self.datasets,
            run_id=self.run_id,
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

"""A run that nothing records (`tracking=none`)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import StoreError
from kexp.tracking.rows import artifact_path, metric_row, param_row, tag_row
from kexp.tracking.tracker import Status, Tracker

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["null_run"]


class UnrecordedRun:
    """A run that is kept nowhere (`tracking=none`): takes everything, keeps nothing."""

    def __init__(self, name: str, folder: Path) -> None:
        self.run_id, self.name, self.folder = uuid.uuid4().hex, name, folder
        self.notice = ""
        self.model_id: str | None = None

    def log_params(self, params: Mapping[str, Any]) -> None:
        param_row(params)

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        metric_row(metrics, step, 0)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        tag_row(tags)

    def log_text(self, text: str, path: str) -> None:
        artifact_path(path)

    def log_file(self, file: Path, folder: str = "") -> None:
        if not file.exists():
            raise StoreError(f"{file}: there is no such file to record as an artifact")

    def log_figure(self, drawing: str, arrays: Mapping[str, np.ndarray] | None = None, **options: Any) -> None:
        pass

    def log_dataset(self, **described: Any) -> None:
        pass

    def log_keras_model(self, model: keras.Model, x: np.ndarray, y_pred: np.ndarray, **how: Any) -> None:
        pass

    def end(self, status: Status, reason: str = "") -> None:
        pass


def null_run(*, name: str | None, folder: Path) -> Tracker:
    """A run that nothing records (`tracking=none`)."""
    return UnrecordedRun(name or "unrecorded", folder)

"""What every Tracker of ours does: turn what a run is told into rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kexp.errors import ConfigError, StoreError
from kexp.tracking.record.rows import Row, artifact_path, dataset_row, metric_row, param_row, tag_row

__all__ = ["RowTracker", "now_ms", "reason_tags"]


class RowTracker:
    """The part of a Tracker that knows no store: checks what it is told, and hands it to `put`, which keeps it.

    Args:
        run_id: the run's id.
        name: its name.
        folder: where the run keeps its files.

    Attributes:
        rows: what it was told, unless another `put` keeps that elsewhere.
    """

    def __init__(self, run_id: str, name: str, folder: Path) -> None:
        self.run_id, self.name, self.folder = run_id, name, folder
        self.notice = ""
        self.undelivered = 0
        self.hurries = False
        self.model_id: str | None = None
        self.last_points: dict[str, tuple[float, int, int]] = {}  # value, step and time of each metric
        self.rows: list[Row] = []
        self._params: dict[str, str] = {}
        self._infinite: dict[str, str] = {}
        self._datasets: dict[tuple[str, str], str] = {}

    def put(self, row: Row) -> None:
        """Takes a row."""
        self.rows.append(row)

    def log_params(self, params: Mapping[str, Any]) -> None:
        row, long = param_row(params)
        for key, text in row["params"].items():
            if self._params.setdefault(key, text) != text:
                raise ConfigError.at(key, f"a parameter of a run cannot change from {self._params[key]!r}", text)
        if long:
            row["texts"] = {f"params/{key}.txt": text for key, text in long.items()}
        self.put(row)

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        row, infinite = metric_row(metrics, int(step), now_ms() if timestamp_ms is None else int(timestamp_ms))
        for key, value, at, stamp in row["metrics"]:
            self.last_points[key] = (value, at, stamp)
        if infinite:
            for key in infinite:
                self._infinite.setdefault(key, f"{key} at step {step}")
            row |= tag_row({"kexp.infinite": ", ".join(self._infinite.values())})
        self.put(row)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        self.put(tag_row(tags))

    def log_text(self, text: str, path: str) -> None:
        self.put({"texts": {str(artifact_path(path)): text}})

    def log_file(self, file: Path, folder: str = "") -> None:
        if not file.exists():
            raise StoreError(f"{file}: there is no such file to record as an artifact")
        inside = str(artifact_path(folder)) if folder else ""
        self.put({"files": [[self.keep_file(file, inside), inside]]})

    def keep_file(self, file: Path, folder: str) -> str:
        """Sees to it that a file stays until it is delivered; returns where it is, as in a row."""
        return str(file.absolute())

    def log_dataset(
        self,
        *,
        name: str,
        digest: str,
        context: str,
        source: str = "",
        source_type: str = "code",
        schema: Any = None,
        profile: Any = None,
    ) -> None:
        # MLflow keeps one input of a run for each name and digest, and would drop the second context of the same data.
        if self._datasets.setdefault((name, digest), context) != context:
            name = f"{name} ({context})"
        self.put(
            dataset_row(name, digest, context, source=source, source_type=source_type, schema=schema, profile=profile)
        )


def reason_tags(reason: str) -> dict[str, str]:
    """Why a run ended as it did, as its tag; none where there is no reason."""
    return {"kexp.reason": " ".join(reason.split())[:500]} if reason else {}


def now_ms() -> int:
    """The time as MLflow counts it."""
    return time.time_ns() // 1_000_000

"""The record of a finished run, which a sweep keeps for each trial."""

from __future__ import annotations

import getpass
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from kexp.tracking.record.rows import Row, artifact_path, join_rows
from kexp.tracking.record.tracker import Tracker

__all__ = ["DatasetRecord", "RunRecord", "lineage", "user"]


@dataclass(frozen=True)
class DatasetRecord:
    """A data set that a run read; see `Tracker.log_dataset`."""

    name: str
    digest: str
    context: str
    source: str = ""
    source_type: str = "code"
    schema: Any = None
    profile: Any = None


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Args:
        name: the run's name.
        status: FINISHED, FAILED or KILLED.
        start_ms, end_ms: when it started and ended, milliseconds since 1970.
        params: flat parameters (`flatten`).
        metrics: points as (key, value, step, timestamp in ms); step counts epochs from 1.
        tags: the run's tags; `kexp.reason` is the reason why a run failed.
        parent_run_id: the run of the sweep, if the run is a trial.
        texts: artifact path -> text.
        files: pairs of a file and its artifact folder.
        datasets: the data sets that the run read.
        run_id: the run's id, 32 hexadecimal digits; a database stores it, a server assigns another.
    """

    name: str
    status: str
    start_ms: int
    end_ms: int
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[tuple[str, float, int, int]] = ()
    tags: Mapping[str, Any] = field(default_factory=dict)
    parent_run_id: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[tuple[Path, str]] = ()
    datasets: Sequence[DatasetRecord] = ()
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def from_row(cls, about: Mapping[str, Any], row: Row) -> RunRecord:
        """Returns the record with these fields (see `about`) and this row."""
        return cls(
            **about,
            status=row["end"]["status"],
            end_ms=row["end"]["time_ms"],
            files=[(Path(file), folder) for file, folder in row.get("files", ())],
            datasets=[DatasetRecord(**each) for each in row.get("datasets", ())],
            metrics=[(key, value, step, stamp) for key, value, step, stamp in row.get("metrics", ())],
            **{kind: row.get(kind, {}) for kind in ("params", "tags", "texts")},
        )

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the run's experiment; empty if it has none."""
        return str(self.tags.get("kexp.fingerprint", ""))

    @property
    def about(self) -> dict[str, Any]:
        """The fields that are not in the row."""
        return {name: getattr(self, name) for name in ("name", "start_ms", "parent_run_id", "run_id")}

    @cached_property
    def row(self) -> Row:
        """The run as one row, with the tags that MLflow's own client would set.

        Raises:
            StoreError: an artifact's path leads out of the run's artifacts, or a data set's digest is too long.
        """
        run = Tracker(self.run_id, self.name, Path())
        run.set_tags({"mlflow.runName": self.name, **lineage(self.parent_run_id)})
        run.log_params(self.params)
        for key, value, step, stamp in self.metrics:
            run.log_metrics({key: value}, step, stamp)
        run.set_tags(self.tags)
        for path, text in self.texts.items():
            run.log_text(text, path)
        for file, folder in self.files:  # the files are checked when they are sent
            run.put({"files": [[str(file.absolute()), str(artifact_path(folder)) if folder else ""]]})
        for dataset in self.datasets:
            run.log_dataset(**vars(dataset))
        run.put({"end": {"status": self.status, "time_ms": self.end_ms}})
        return join_rows(run.rows)


def lineage(parent_run_id: str | None) -> dict[str, str]:
    """Returns the tags for MLflow's page: the user, the program, and the run of the sweep."""
    source = {"mlflow.source.type": "LOCAL", "mlflow.source.name": sys.argv[0] or "python", "mlflow.user": user()}
    return source if parent_run_id is None else {**source, "mlflow.parentRunId": parent_run_id}


@cache
def user() -> str:
    """Returns the name of the user; empty if the system has none."""
    try:
        return getpass.getuser()
    except Exception:  # a container's user may have no name
        return ""

"""All of a run that is over, in the form that MLflow's rules ask for: what a sweep keeps of each trial."""

from __future__ import annotations

import contextlib
import getpass
import math
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kexp.errors import StoreError
from kexp.tracking.rows import artifact_path, dataset_row, metric_row, param_row, tag_row

__all__ = [
    "DatasetRecord",
    "RunRecord",
    "artifacts_of",
    "check_artifacts",
    "datasets_of",
    "points_of",
    "tags_of",
    "user",
    "write_artifacts",
]


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
    """All of a run that is over.

    Args:
        name: the run's name.
        status: FINISHED, FAILED or KILLED.
        start_ms, end_ms: when it began and ended, milliseconds since 1970.
        params: flat parameters (`flatten`).
        metrics: points as (key, value, step, timestamp in ms); step counts epochs from 1.
        tags: tags; `kexp.reason` says why a run failed.
        parent_run_id: the sweep that the run is a trial of.
        texts: artifacts by path, as text.
        files: artifacts as (file, artifact folder).
        datasets: what the run read.
        run_id: the run's id, 32 hexadecimal digits; a database store keeps it, a server gives one of its own.
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


def tags_of(record: RunRecord) -> dict[str, str]:
    """A run's tags, those that MLflow's own client sets among them."""
    own = {
        "mlflow.runName": record.name,
        "mlflow.user": user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": sys.argv[0] or "python",
    }
    infinite = {key: None for key, value, *_ in record.metrics if math.isinf(value)}
    if infinite:
        own["kexp.infinite"] = ", ".join(infinite)
    if record.parent_run_id is not None:
        own["mlflow.parentRunId"] = record.parent_run_id
    tags: dict[str, str] = tag_row(record.tags)["tags"]
    return {**own, **tags}


def points_of(record: RunRecord) -> Iterator[tuple[str, float, int, int]]:
    """A run's points as MLflow holds them: (key, value, step, timestamp in ms), infinity as its largest number."""
    for key, value, step, stamp in record.metrics:
        ((safe, held, at, when),) = metric_row({key: value}, int(step), int(stamp))[0]["metrics"]
        yield safe, held, at, when


def datasets_of(record: RunRecord) -> Iterator[dict[str, Any]]:
    """A run's data sets as rows, each under a name of its own: MLflow drops the second of one name and digest."""
    seen: set[tuple[str, str]] = set()
    for given in record.datasets:
        name = given.name if (given.name, given.digest) not in seen else f"{given.name} ({given.context})"
        seen.add((given.name, given.digest))
        yield dataset_row(
            name,
            given.digest,
            given.context,
            source=given.source,
            source_type=given.source_type,
            schema=given.schema,
            profile=given.profile,
        )["dataset"]


def check_artifacts(record: RunRecord) -> None:
    """Before anything is written, so that no run is left half told."""
    for path in (*record.texts, *(folder for _, folder in record.files if folder)):
        artifact_path(path)
    for file, _ in record.files:
        if not file.exists():
            raise StoreError(f"{file}: there is no such file to record as an artifact of run {record.name!r}")


@contextlib.contextmanager
def artifacts_of(record: RunRecord) -> Iterator[Path | None]:
    """A folder with all of a record's artifacts; None where it has none."""
    with tempfile.TemporaryDirectory(prefix="kexp-") as name:
        yield Path(name) if write_artifacts(record, Path(name)) else None


def write_artifacts(record: RunRecord, folder: Path) -> bool:
    """Writes all of a record's artifacts into a folder; whether there are any."""
    texts = {**record.texts, **{f"params/{key}.txt": text for key, text in param_row(record.params)[1].items()}}
    made = set[Path]()

    def place(path: PurePosixPath) -> Path:
        target = folder / path
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        return target

    for path, text in texts.items():
        place(artifact_path(path)).write_text(text, encoding="utf-8")
    for source, inside in record.files:
        target = place((artifact_path(inside) if inside else PurePosixPath()) / source.name)
        shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy2(source, target)
    return bool(texts or record.files)


def user() -> str:
    """Who runs this; empty where nobody can say."""
    try:
        return getpass.getuser()
    except Exception:  # a container's user may have no name
        return ""

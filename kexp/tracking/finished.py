"""Whole runs that are over, written in as few calls as possible: the trials of a sweep.

MLflow's client takes 45 ms a run on SQLite, most of it in SQLAlchemy's bookkeeping of single objects. On a database,
runs are therefore inserted in bulk, many in one transaction, through MLflow's own mapped classes and its store's own
session, as MLflow's `migrate-filestore` does: 2.6 ms a run. Elsewhere the client's ordinary calls are used.
"""

from __future__ import annotations

import contextlib
import getpass
import math
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kexp.errors import StoreError, first_line
from kexp.tracking.client import client_for, is_transient
from kexp.tracking.rows import artifact_path, dataset_row, metric_row, param_row, tag_row
from kexp.tracking.settings import StoreSettings, is_remote, resolve_uri, without_password
from kexp.tracking.store import prepare_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["DatasetRecord", "RunRecord", "log_finished_run", "log_finished_runs", "sql_store"]

_RUNS_A_TRANSACTION = 100
_ATTEMPTS = 5


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


def log_finished_run(settings: StoreSettings, record: RunRecord) -> str:
    """Writes one run; returns its id. Many at once are cheaper by far: `log_finished_runs`."""
    return log_finished_runs(settings, [record])[0]


def log_finished_runs(settings: StoreSettings, records: Sequence[RunRecord]) -> list[str]:
    """Writes runs that are over, each once, however often an attempt fails in between.

    Returns:
        The runs' ids, in the order of `records`.

    Raises:
        StoreError: the store stayed away or locked, or refused a run. Some runs may have been written by then; called
            again with the same records, it writes the others only.
    """
    for record in records:
        _check_artifacts(record)
    experiment, uri = prepare_store(settings), resolve_uri(settings)
    client = client_for(uri)
    write = _log_by_calls if is_remote(uri) or sql_store(client) is None else _log_in_bulk
    run_ids: list[str] = []
    for first in range(0, len(records), _RUNS_A_TRANSACTION):
        some = records[first : first + _RUNS_A_TRANSACTION]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                run_ids += write(client, experiment, some)
                break
            except Exception as error:
                if not is_transient(error) or attempt == _ATTEMPTS:
                    raise StoreError(
                        f"tracking.uri: writing runs failed at {without_password(uri)}: {first_line(error)}"
                    ) from error
                time.sleep(0.5 * 2**attempt)
    return run_ids


def sql_store(client: MlflowClient) -> Any | None:
    """The database store behind a client; None where there is none."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = client._tracking_client.store
    return store if type(store) is SqlAlchemyStore else None


def _log_in_bulk(client: MlflowClient, experiment: str, records: Sequence[RunRecord]) -> list[str]:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
    from mlflow.store.tracking.dbmodels import models as sql
    from sqlalchemy import insert, select

    store = sql_store(client)
    assert store is not None
    root = str(client.get_experiment(experiment).artifact_location).rstrip("/")
    tables = _Tables(int(experiment), root)
    # Files first: a process that is killed in between leaves files that no run has, not a finished run without files.
    for record in records:
        repository = get_artifact_repository(f"{root}/{record.run_id}/artifacts")
        if isinstance(repository, LocalArtifactRepository):
            _write_artifacts(record, Path(repository.artifact_dir))
            continue
        with _artifacts(record) as folder:
            if folder is not None:
                repository.log_artifacts(str(folder))
    with store.ManagedSessionMaker(read_only=False) as session:
        wanted = [record.run_id for record in records]
        there = set(session.scalars(select(sql.SqlRun.run_uuid).where(sql.SqlRun.run_uuid.in_(wanted))))
        for record in records:
            if record.run_id not in there:
                tables.add(record)
        if tables.runs:
            for table, rows in (
                (sql.SqlRun, tables.runs),
                (sql.SqlTag, tables.tags),
                (sql.SqlParam, tables.params),
                (sql.SqlMetric, tables.metrics),
                (sql.SqlLatestMetric, tables.latest),
            ):
                if rows:
                    session.execute(insert(table), rows)
            tables.add_datasets(session, records, there)
    return [record.run_id for record in records]


class _Tables:
    """Records as rows of MLflow's tables, with the columns that its store's `create_run` and `log_batch` fill."""

    def __init__(self, experiment: int, root: str) -> None:
        self.experiment, self.root = experiment, root
        self.runs: list[dict[str, Any]] = []
        self.tags: list[dict[str, Any]] = []
        self.params: list[dict[str, Any]] = []
        self.metrics: list[dict[str, Any]] = []
        self.latest: list[dict[str, Any]] = []
        self._user = _user()

    def add(self, record: RunRecord) -> None:
        run_id = record.run_id
        self.runs.append(
            {
                "run_uuid": run_id,
                "name": record.name,
                "source_type": "UNKNOWN",  # MLflow shows the source from tags; its own store fills these columns so
                "source_name": "",
                "entry_point_name": "",
                "source_version": "",
                "user_id": self._user,
                "status": record.status,
                "start_time": record.start_ms,
                "end_time": record.end_ms,
                "deleted_time": None,
                "lifecycle_stage": "active",
                "artifact_uri": f"{self.root}/{run_id}/artifacts",
                "experiment_id": self.experiment,
            }
        )
        self.tags += [{"run_uuid": run_id, "key": key, "value": value} for key, value in _tags(record).items()]
        params = param_row(record.params)[0]["params"]
        self.params += [{"run_uuid": run_id, "key": key, "value": value} for key, value in params.items()]
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        latest: dict[str, dict[str, Any]] = {}
        for key, value, step, stamp in _points(record):
            nan = math.isnan(value)
            row = {
                "run_uuid": run_id,
                "key": key,
                "value": 0.0 if nan else value,
                "timestamp": stamp,
                "step": step,
                "is_nan": nan,
            }
            rows[key, row["value"], step, stamp, nan] = row
            last = latest.get(key)
            if last is None or _moment(row) > _moment(last):
                latest[key] = row
        self.metrics += rows.values()
        self.latest += latest.values()

    def add_datasets(self, session: Any, records: Sequence[RunRecord], there: set[str]) -> None:
        """Links the runs to their data sets; each data set is one row for the whole experiment."""
        from mlflow.store.tracking.dbmodels import models as sql
        from sqlalchemy import insert, select

        ids: dict[tuple[str, str], str] = {}
        inputs, contexts = [], []
        for record in records:
            if record.run_id in there:
                continue
            for row in _datasets(record):
                known = (
                    ids.get((row["name"], row["digest"]))
                    or session.scalars(
                        select(sql.SqlDataset.dataset_uuid).where(
                            sql.SqlDataset.experiment_id == self.experiment,
                            sql.SqlDataset.name == row["name"],
                            sql.SqlDataset.digest == row["digest"],
                        )
                    ).first()
                )
                if known is None:
                    known = uuid.uuid4().hex
                    session.execute(insert(sql.SqlDataset), [_dataset_columns(row, known, self.experiment)])
                ids[row["name"], row["digest"]] = known
                link = uuid.uuid4().hex
                inputs.append(
                    {
                        "input_uuid": link,
                        "source_type": "DATASET",
                        "source_id": known,
                        "destination_type": "RUN",
                        "destination_id": record.run_id,
                        "step": 0,
                    }
                )
                contexts.append({"input_uuid": link, "name": "mlflow.data.context", "value": row["context"]})
        if inputs:
            session.execute(insert(sql.SqlInput), inputs)
            session.execute(insert(sql.SqlInputTag), contexts)


def _dataset_columns(row: Mapping[str, Any], dataset_id: str, experiment: int) -> dict[str, Any]:
    return {
        "dataset_uuid": dataset_id,
        "experiment_id": experiment,
        "name": row["name"],
        "digest": row["digest"],
        "dataset_source_type": row["source_type"],
        "dataset_source": row["source"],
        "dataset_schema": row["schema"],
        "dataset_profile": row["profile"],
    }


def _log_by_calls(client: MlflowClient, experiment: str, records: Sequence[RunRecord]) -> list[str]:
    return [_log_one_by_calls(client, experiment, record) for record in records]


def _log_one_by_calls(client: MlflowClient, experiment: str, record: RunRecord) -> str:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    mark = {"kexp.record": record.run_id}
    before = client.search_runs([experiment], f"tags.`kexp.record` = '{record.run_id}'", max_results=1)
    if before:
        run_id = before[0].info.run_id
        if before[0].info.status == record.status:
            return str(run_id)
    else:
        tags = {**_tags(record), **mark}
        run_id = client.create_run(experiment, start_time=record.start_ms, tags=tags, run_name=record.name).info.run_id
    params = [Param(key, value) for key, value in param_row(record.params)[0]["params"].items()]
    metrics = [Metric(key, value, stamp, step) for key, value, step, stamp in _points(record)]
    while params or metrics:
        client.log_batch(run_id, metrics[: 1000 - len(params[:100])], params[:100], synchronous=True)
        metrics, params = metrics[1000 - len(params[:100]) :], params[100:]
    if record.datasets:
        names = ("name", "digest", "source_type", "source", "schema", "profile")
        inputs = [
            DatasetInput(
                Dataset(**{name: row[name] for name in names}), [InputTag("mlflow.data.context", row["context"])]
            )
            for row in _datasets(record)
        ]
        client.log_inputs(run_id, inputs)
    with _artifacts(record) as folder:
        if folder is not None:
            client.log_artifacts(run_id, str(folder))
    client.set_terminated(run_id, record.status, record.end_ms)
    return str(run_id)


def _tags(record: RunRecord) -> dict[str, str]:
    own = {
        "mlflow.runName": record.name,
        "mlflow.user": _user(),
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


def _points(record: RunRecord) -> Iterator[tuple[str, float, int, int]]:
    for key, value, step, stamp in record.metrics:
        ((safe, held, at, when),) = metric_row({key: value}, int(step), int(stamp))[0]["metrics"]
        yield safe, held, at, when


def _moment(row: Mapping[str, Any]) -> tuple[int, int, float]:
    return row["step"], row["timestamp"], row["value"]


def _datasets(record: RunRecord) -> Iterator[dict[str, Any]]:
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


def _check_artifacts(record: RunRecord) -> None:
    """Before anything is written, so that no run is left half told."""
    for path in (*record.texts, *(folder for _, folder in record.files if folder)):
        artifact_path(path)
    for file, _ in record.files:
        if not file.exists():
            raise StoreError(f"{file}: there is no such file to record as an artifact of run {record.name!r}")


@contextlib.contextmanager
def _artifacts(record: RunRecord) -> Iterator[Path | None]:
    """A folder with all of a record's artifacts; None where it has none."""
    with tempfile.TemporaryDirectory(prefix="kexp-") as name:
        yield Path(name) if _write_artifacts(record, Path(name)) else None


def _write_artifacts(record: RunRecord, folder: Path) -> bool:
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


def _user() -> str:
    try:
        return getpass.getuser()
    except Exception:  # a container's user may have no name
        return ""

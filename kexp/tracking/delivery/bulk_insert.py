"""Inserts finished runs into MLflow's tables in bulk.

MLflow's client takes 45 ms a run on SQLite, mostly for SQLAlchemy's bookkeeping of single objects. This module inserts
many runs in one transaction, through MLflow's mapped classes and its store's session, as MLflow's `migrate-filestore`
does. That takes 2.6 ms a run.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.tracking.delivery.artifacts import repository_of, send_artifacts
from kexp.tracking.record.run_record import RunRecord, user
from kexp.tracking.store.client import sql_store
from kexp.tracking.store.database.tables import chunks

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["insert_runs"]


def insert_runs(client: MlflowClient, experiment: str, records: Sequence[RunRecord]) -> list[str]:
    """Inserts the runs that the database does not have yet, with their artifacts, in one transaction.

    Args:
        client: MLflow's client of a database.
        experiment: the experiment's id.
        records: the runs.

    Returns:
        The ids of all runs, in the order of `records`.
    """
    from mlflow.store.tracking.dbmodels.models import SqlRun
    from sqlalchemy import insert, select

    store = sql_store(client)
    assert store is not None
    root = str(client.get_experiment(experiment).artifact_location).rstrip("/")
    # Files come first: a process that is killed in between leaves files without a run, not a run without its files.
    for record in records:
        send_artifacts(repository_of(f"{root}/{record.run_id}/artifacts"), record.row)
    run_ids = [record.run_id for record in records]
    with store.ManagedSessionMaker(read_only=False) as session:
        existing = set(session.scalars(select(SqlRun.run_uuid).where(SqlRun.run_uuid.in_(run_ids))))
        missing = [record for record in records if record.run_id not in existing]
        rows: dict[Any, list[dict[str, Any]]] = {}
        for record in missing:
            for table, table_rows in _rows_of(record, int(experiment), root):
                rows.setdefault(table, []).extend(table_rows)
        for table, table_rows in (*rows.items(), *_dataset_rows(session, missing, int(experiment))):
            if table_rows:
                session.execute(insert(table), table_rows)
    return run_ids


def _rows_of(record: RunRecord, experiment: int, root: str) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """Yields MLflow's tables, each with the rows and columns that its own `create_run` and `log_batch` would write."""
    from mlflow.store.tracking.dbmodels import models as sql

    run_id = record.run_id
    about = {
        "run_uuid": run_id,
        "name": record.name,
        "source_type": "UNKNOWN",  # as MLflow's own store fills these columns; the source is shown from tags
        "source_name": "",
        "entry_point_name": "",
        "source_version": "",
        "user_id": user(),
        "status": record.status,
        "start_time": record.start_ms,
        "end_time": record.end_ms,
        "deleted_time": None,
        "lifecycle_stage": "active",
        "artifact_uri": f"{root}/{run_id}/artifacts",
        "experiment_id": experiment,
    }
    yield sql.SqlRun, [about]
    for table, kind in ((sql.SqlTag, "tags"), (sql.SqlParam, "params")):
        yield table, [{"run_uuid": run_id, "key": key, "value": value} for key, value in record.row[kind].items()]
    points: dict[tuple[Any, ...], dict[str, Any]] = {}
    latest: dict[str, dict[str, Any]] = {}
    for key, value, step, stamp in record.row.get("metrics", ()):
        nan = math.isnan(value)
        point = {
            "run_uuid": run_id,
            "key": key,
            "value": 0.0 if nan else value,
            "timestamp": stamp,
            "step": step,
            "is_nan": nan,
        }
        points[key, point["value"], step, stamp, nan] = point
        if key not in latest or _point_order(point) > _point_order(latest[key]):
            latest[key] = point
    yield sql.SqlMetric, list(points.values())
    yield sql.SqlLatestMetric, list(latest.values())


def _dataset_rows(
    session: Any, records: Sequence[RunRecord], experiment: int
) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """Yields the tables and rows that link runs to their data sets. A data set is one row for the whole experiment."""
    from mlflow.store.tracking.dbmodels import models as sql

    read = [(record.run_id, row) for record in records for row in record.row.get("datasets", ())]
    wanted = {(row["name"], row["digest"]): row for _, row in read}
    ids = _known_datasets(session, [digest for _, digest in wanted], experiment)
    new = {each: uuid.uuid4().hex for each in wanted if each not in ids}
    yield sql.SqlDataset, [_dataset_columns(wanted[each], new_id, experiment) for each, new_id in new.items()]
    ids |= new
    inputs, contexts = [], []
    for run_id, row in read:
        link = uuid.uuid4().hex
        inputs.append(
            {
                "input_uuid": link,
                "source_type": "DATASET",
                "source_id": ids[row["name"], row["digest"]],
                "destination_type": "RUN",
                "destination_id": run_id,
                "step": 0,
            }
        )
        contexts.append({"input_uuid": link, "name": "mlflow.data.context", "value": row["context"]})
    yield sql.SqlInput, inputs
    yield sql.SqlInputTag, contexts


def _known_datasets(session: Any, digests: Sequence[str], experiment: int) -> dict[tuple[str, str], str]:
    """Returns (name, digest) -> id of the experiment's data sets that have one of these digests."""
    from mlflow.store.tracking.dbmodels.models import SqlDataset
    from sqlalchemy import select

    found: dict[tuple[str, str], str] = {}
    for chunk in chunks(digests):
        query = select(SqlDataset.name, SqlDataset.digest, SqlDataset.dataset_uuid).where(
            SqlDataset.experiment_id == experiment, SqlDataset.digest.in_(chunk)
        )
        found |= {(name, digest): dataset_id for name, digest, dataset_id in session.execute(query)}
    return found


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


def _point_order(row: Mapping[str, Any]) -> tuple[int, int, float]:
    """Returns the order by which MLflow determines the latest of several points."""
    return row["step"], row["timestamp"], row["value"]

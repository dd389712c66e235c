"""Runs that are over, inserted into MLflow's tables in bulk.

MLflow's client takes 45 ms a run on SQLite, most of it in SQLAlchemy's bookkeeping of single objects. Here many runs
are inserted in one transaction, through MLflow's own mapped classes and its store's own session, as MLflow's
`migrate-filestore` does: 2.6 ms a run.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.tracking.delivery.artifacts import repository_of, send_artifacts
from kexp.tracking.record.run_record import RunRecord, user
from kexp.tracking.store.client import sql_store
from kexp.tracking.store.tables import chunks

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["insert_runs"]


def insert_runs(client: MlflowClient, experiment: str, records: Sequence[RunRecord]) -> list[str]:
    """Inserts the runs that the database does not have yet, with their artifacts; returns the ids of all."""
    from mlflow.store.tracking.dbmodels import models as sql
    from sqlalchemy import insert, select

    store = sql_store(client)
    assert store is not None
    root = str(client.get_experiment(experiment).artifact_location).rstrip("/")
    tables = _Tables(int(experiment), root)
    # Files first: a process that is killed in between leaves files that no run has, not a finished run without files.
    for record in records:
        send_artifacts(repository_of(f"{root}/{record.run_id}/artifacts"), record.row)
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
        self._user = user()

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
        self.tags += [{"run_uuid": run_id, "key": key, "value": value} for key, value in record.row["tags"].items()]
        params = record.row["params"].items()
        self.params += [{"run_uuid": run_id, "key": key, "value": value} for key, value in params]
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        latest: dict[str, dict[str, Any]] = {}
        for key, value, step, stamp in record.row.get("metrics", ()):
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
        from sqlalchemy import insert

        wanted = {
            (row["name"], row["digest"]): row
            for record in records
            if record.run_id not in there
            for row in record.row.get("datasets", ())
        }
        ids = self._known_datasets(session, [digest for _, digest in wanted])
        new = {each: uuid.uuid4().hex for each in wanted if each not in ids}
        if new:
            columns = [_dataset_columns(wanted[each], new_id, self.experiment) for each, new_id in new.items()]
            session.execute(insert(sql.SqlDataset), columns)
        ids |= new
        inputs, contexts = [], []
        for record in records:
            if record.run_id in there:
                continue
            for row in record.row.get("datasets", ()):
                link = uuid.uuid4().hex
                inputs.append(
                    {
                        "input_uuid": link,
                        "source_type": "DATASET",
                        "source_id": ids[row["name"], row["digest"]],
                        "destination_type": "RUN",
                        "destination_id": record.run_id,
                        "step": 0,
                    }
                )
                contexts.append({"input_uuid": link, "name": "mlflow.data.context", "value": row["context"]})
        if inputs:
            session.execute(insert(sql.SqlInput), inputs)
            session.execute(insert(sql.SqlInputTag), contexts)

    def _known_datasets(self, session: Any, digests: Sequence[str]) -> dict[tuple[str, str], str]:
        """The experiment's data sets that have one of these digests, by name and digest."""
        from mlflow.store.tracking.dbmodels.models import SqlDataset
        from sqlalchemy import select

        found: dict[tuple[str, str], str] = {}
        for some in chunks(digests):
            query = select(SqlDataset.name, SqlDataset.digest, SqlDataset.dataset_uuid).where(
                SqlDataset.experiment_id == self.experiment, SqlDataset.digest.in_(some)
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


def _moment(row: Mapping[str, Any]) -> tuple[int, int, float]:
    return row["step"], row["timestamp"], row["value"]

"""Runs read from a database through MLflow's own tables, column by column.

MLflow's client makes an object of each tag, parameter and metric: 6 ms a run of ordinary size. Here it is 0.3 ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["found_runs"]

_AT_ONCE = 400  # run ids in one query, below every database's limit


def found_runs(
    store: Any,
    experiment: int,
    *,
    tags: Mapping[str, str],
    status: str | None = None,
    limit: int | None = None,
    newest_first: bool = True,
) -> Iterator[dict[str, Any]]:
    """The fields of a `RunView`, less the experiment's name, of each run that is not deleted.

    Args:
        store: MLflow's database store.
        experiment: its id.
        tags: tags that a run must have, with these values.
        status: RUNNING, FINISHED, FAILED or KILLED; None for any.
        limit: at most so many.
        newest_first: by start time; else oldest first.
    """
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
    from sqlalchemy import select

    query = select(SqlRun.run_uuid, SqlRun.name, SqlRun.status, SqlRun.start_time, SqlRun.end_time).where(
        SqlRun.experiment_id == experiment, SqlRun.lifecycle_stage == "active"
    )
    if status is not None:
        query = query.where(SqlRun.status == status)
    for key, value in tags.items():
        tagged = select(SqlTag.run_uuid).where(SqlTag.key == key, SqlTag.value == value)
        query = query.where(SqlRun.run_uuid.in_(tagged))
    by_time = SqlRun.start_time.desc() if newest_first else SqlRun.start_time.asc()
    with store.ManagedSessionMaker(read_only=True) as session:
        rows = session.execute(query.order_by(by_time, SqlRun.run_uuid).limit(limit)).all()
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        details = _details(store, [row.run_uuid for row in some])
        for run_id, name, state, start_ms, end_ms in some:
            about = {"name": name or "", "status": state, "start_ms": start_ms, "end_ms": end_ms}
            yield {"run_id": run_id, **about, **details[run_id]}


def _details(store: Any, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What runs have many of: tags, parameters, last metrics, models."""
    from mlflow.store.tracking.dbmodels.models import SqlInput, SqlLatestMetric, SqlParam, SqlTag
    from sqlalchemy import select

    from kexp.tracking.values import restored_metric

    found: dict[str, dict[str, Any]] = {
        run_id: {"tags": {}, "params": {}, "metrics": {}, "model_ids": ()} for run_id in run_ids
    }
    with store.ManagedSessionMaker(read_only=True) as session:
        for name, table in (("tags", SqlTag), ("params", SqlParam)):
            texts = select(table.run_uuid, table.key, table.value).where(table.run_uuid.in_(run_ids))
            for run_id, key, value in session.execute(texts):
                found[run_id][name][key] = value
        last = SqlLatestMetric
        numbers = select(last.run_uuid, last.key, last.value, last.is_nan).where(last.run_uuid.in_(run_ids))
        for run_id, key, value, is_nan in session.execute(numbers):
            found[run_id]["metrics"][key] = float("nan") if is_nan else restored_metric(value)
        models = select(SqlInput.source_id, SqlInput.destination_id).where(
            SqlInput.source_type == "RUN_OUTPUT",
            SqlInput.destination_type == "MODEL_OUTPUT",
            SqlInput.source_id.in_(run_ids),
        )
        for run_id, model_id in session.execute(models):
            found[run_id]["model_ids"] += (model_id,)
    return found

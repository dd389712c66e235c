"""Find finished runs in the store by fingerprint, so that a sweep runs only the trials that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from kexp.tracking.client import AT_ONCE, client_for, sql_store, store_errors
from kexp.tracking.reading import RunView, search
from kexp.tracking.settings import StoreSettings, resolve_uri
from kexp.tracking.store import experiment_id
from kexp.tracking.values import ABOUT

__all__ = ["FinishedRun", "finished_with"]

_AT_ONCE = 400  # values in one query, below every database's limit
_FEW = 20  # up to so many fingerprints, a server is queried for each; above it, for all finished runs


@dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    Attributes:
        run_id: MLflow's run id.
        metrics: the last value of each metric.
        state: FINISHED or PRUNED.
    """

    run_id: str
    metrics: dict[str, float] = field(default_factory=dict)
    state: str = "FINISHED"


def finished_with(settings: StoreSettings, fingerprints: Sequence[str]) -> dict[str, FinishedRun]:
    """Find the finished runs of these fingerprints in the settings' experiment.

    Returns:
        Fingerprint -> its newest finished run, for those that have one.

    Raises:
        StoreError: the store cannot be read.
    """
    uri = resolve_uri(settings)
    client = client_for(uri)
    with store_errors(uri, "looking for finished runs"):
        experiment = experiment_id(settings)
        if experiment is None or not fingerprints:
            return {}
        store = sql_store(client)
        if store is not None:
            return _from_database(store, int(experiment), list(dict.fromkeys(fingerprints)))
    wanted = set(fingerprints)
    tags: list[dict[str, str] | None] = [None]
    if len(wanted) <= _FEW:
        tags = [{"kexp.fingerprint": each} for each in sorted(wanted)]
    found: dict[str, FinishedRun] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="kexp-read") as pool:
        futures = [pool.submit(_finished, settings, each) for each in tags]
    for each in futures:
        for view in each.result():
            fingerprint = view.tags.get("kexp.fingerprint", "")
            if fingerprint in wanted:
                state = view.tags.get("kexp.state", "FINISHED")
                found[fingerprint] = FinishedRun(view.run_id, _of_model(view.metrics), state)
    return found


def _of_model(metrics: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if not key.startswith(ABOUT)}


def _finished(settings: StoreSettings, tags: dict[str, str] | None) -> list[RunView]:
    return list(search(settings, tags=tags, status="FINISHED", newest_first=False))


def _from_database(store: Any, experiment: int, fingerprints: Sequence[str]) -> dict[str, FinishedRun]:
    from mlflow.store.tracking.dbmodels import models as sql
    from sqlalchemy import select

    found: dict[str, FinishedRun] = {}
    with store.ManagedSessionMaker() as session:
        for first in range(0, len(fingerprints), _AT_ONCE):
            some = fingerprints[first : first + _AT_ONCE]
            query = (
                select(sql.SqlTag.value, sql.SqlTag.run_uuid)
                .join(sql.SqlRun, sql.SqlRun.run_uuid == sql.SqlTag.run_uuid)
                .where(
                    sql.SqlTag.key == "kexp.fingerprint",
                    sql.SqlTag.value.in_(some),
                    sql.SqlRun.status == "FINISHED",
                    sql.SqlRun.lifecycle_stage == "active",
                    sql.SqlRun.experiment_id == experiment,
                )
                .order_by(sql.SqlRun.start_time)
            )
            run_ids = {str(fingerprint): str(run_id) for fingerprint, run_id in session.execute(query)}
            ids = list(run_ids.values())
            metrics: dict[str, dict[str, float]] = {each: {} for each in ids}
            latest = sql.SqlLatestMetric
            for run_id, key, value, nan in session.execute(
                select(latest.run_uuid, latest.key, latest.value, latest.is_nan).where(latest.run_uuid.in_(ids))
            ):
                if not key.startswith(ABOUT):
                    metrics[run_id][key] = float("nan") if nan else float(value)
            states = dict(
                session.execute(
                    select(sql.SqlTag.run_uuid, sql.SqlTag.value).where(
                        sql.SqlTag.key == "kexp.state", sql.SqlTag.run_uuid.in_(ids)
                    )
                ).all()
            )
            for fingerprint, run_id in run_ids.items():
                found[fingerprint] = FinishedRun(run_id, metrics[run_id], str(states.get(run_id, "FINISHED")))
    return found

"""Finds finished runs in the store by fingerprint, so that a sweep runs only the trials that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from kexp.tracking.reading.runs import RunView, search
from kexp.tracking.settings import StoreSettings, resolve_uri
from kexp.tracking.store.client import store_errors
from kexp.tracking.store.concurrent import run_concurrently
from kexp.tracking.store.database.queries import last_metrics
from kexp.tracking.store.database.tables import Database, chunks, open_database, tables
from kexp.tracking.store.prepare import experiment_id
from kexp.tracking.values import SYSTEM_PREFIX

__all__ = ["FinishedRun", "find_finished"]

_FEW = 20  # the most fingerprints for which a server gets a query each; for more it gets one for all finished runs


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


def find_finished(settings: StoreSettings, fingerprints: Sequence[str]) -> dict[str, FinishedRun]:
    """Finds the finished runs of these fingerprints in the settings' experiment.

    Returns:
        Fingerprint -> its newest finished run, for those that have one.

    Raises:
        StoreError: the store cannot be read.
    """
    uri = resolve_uri(settings)
    with store_errors(uri, "looking for finished runs"):
        experiment = experiment_id(settings)
        if experiment is None or not fingerprints:
            return {}
        database = open_database(uri)
        if database is not None:
            return _from_database(database, int(experiment), list(dict.fromkeys(fingerprints)))
    wanted = set(fingerprints)
    tags: list[dict[str, str] | None] = [None]
    if len(wanted) <= _FEW:
        tags = [{"kexp.fingerprint": each} for each in sorted(wanted)]
    found: dict[str, FinishedRun] = {}
    for views in run_concurrently([partial(_finished_runs, settings, each) for each in tags]):
        for view in views:
            fingerprint = view.tags.get("kexp.fingerprint", "")
            if fingerprint in wanted:
                state = view.tags.get("kexp.state", "FINISHED")
                found[fingerprint] = FinishedRun(view.run_id, _of_model(view.metrics), state)
    return found


def _of_model(metrics: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if not key.startswith(SYSTEM_PREFIX)}


def _finished_runs(settings: StoreSettings, tags: dict[str, str] | None) -> list[RunView]:
    return list(search(settings, tags=tags, status="FINISHED", newest_first=False))


def _from_database(database: Database, experiment: int, fingerprints: Sequence[str]) -> dict[str, FinishedRun]:
    """Returns fingerprint -> the latest finished run of it."""
    from sqlalchemy import select

    runs, tag = tables().runs.c, tables().tags.c
    found: dict[str, FinishedRun] = {}
    with database.reading() as session:
        for chunk in chunks(fingerprints):
            query = (
                select(tag.value, tag.run_uuid)
                .where(
                    runs.run_uuid == tag.run_uuid,
                    tag.key == "kexp.fingerprint",
                    tag.value.in_(chunk),
                    runs.status == "FINISHED",
                    runs.lifecycle_stage == "active",
                    runs.experiment_id == experiment,
                )
                .order_by(runs.start_time)
            )
            run_ids = {str(fingerprint): str(run_id) for fingerprint, run_id in session.execute(query)}
            ids = list(run_ids.values())
            metrics = last_metrics(session, ids)
            pruned = select(tag.run_uuid, tag.value).where(tag.key == "kexp.state", tag.run_uuid.in_(ids))
            states = dict(session.execute(pruned).all())
            for fingerprint, run_id in run_ids.items():
                state = str(states.get(run_id, "FINISHED"))
                found[fingerprint] = FinishedRun(run_id, _of_model(metrics[run_id]), state)
    return found

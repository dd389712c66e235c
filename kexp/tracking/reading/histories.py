"""Reads all points of all metrics of many runs: from a database by one query, from a server in bulk.

The history of a finished run does not change. Histories that were read from a server, or computed by this machine, are
therefore cached in a file in the sweep's folder.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kexp.tracking.reading.runs import metric_history, search
from kexp.tracking.record.run_record import RunRecord
from kexp.tracking.settings import StoreSettings, resolve_uri
from kexp.tracking.store.client import client_for, is_server, store_errors
from kexp.tracking.store.concurrent import run_concurrently
from kexp.tracking.store.database.tables import Database, chunks, open_database, tables
from kexp.tracking.values import SYSTEM_PREFIX, restored_metric

__all__ = ["History", "HistoryCache", "history_of", "read_histories"]

History = Mapping[str, Sequence[tuple[int, float]]]
"""Metric -> its (epoch, value) points, by epoch from 1."""

_RUNS_A_QUERY = 200  # below every database's limit
# MLflow's limits of `metrics/get-history-bulk`; the server leaves out further points.
_RUNS_A_REQUEST = 100
_POINTS_A_REQUEST = 25_000


class HistoryCache:
    """The file `FOLDER/histories.jsonl`, with a line a run: {"run": ID, "metrics": {NAME: [[EPOCH, VALUE], ...]}}.

    A line {"run": ID, "is": OTHER} means that the run has the history of another id, because a server gives new ids.

    Args:
        folder: the sweep's folder; nothing is cached if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "histories.jsonl"
        self._writing = threading.Lock()

    @classmethod
    def folder_of(cls, name: str) -> Path | None:
        """Returns the folder with this name if it holds histories, else None. A store may name any folder."""
        return Path(name) if name and cls(Path(name))._file.is_file() else None

    def add(self, run_id: str, history: History) -> None:
        """Adds a run's history."""
        self._append_line({"run": run_id, "metrics": history})

    def rename(self, run_ids: Mapping[str, str]) -> None:
        """Adds new ids of runs: old id -> new id."""
        for before, now in run_ids.items():
            if before != now:
                self._append_line({"run": now, "is": before})

    def read(self, run_ids: Iterable[str]) -> dict[str, History]:
        """Returns run id -> history, for the runs whose history is cached."""
        others = {line["run"]: line["is"] for line in self._lines() if "is" in line}
        wanted = {others.get(run_id, run_id): run_id for run_id in run_ids}
        return {
            wanted[line["run"]]: {name: [(step, value) for step, value in points] for name, points in metrics.items()}
            for line in self._lines()
            if (metrics := line.get("metrics")) is not None and line["run"] in wanted
        }

    def _append_line(self, line: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError), self._writing, open(self._file, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self._file.is_file():
            return
        with open(self._file, encoding="utf-8") as file:
            for text in file:
                with contextlib.suppress(ValueError):  # a line that a kill cut off
                    yield json.loads(text)


def read_histories(
    settings: StoreSettings, run_ids: Sequence[str], cache: HistoryCache | None = None
) -> dict[str, History]:
    """Reads all points of the runs' metrics, except those about the machine. The later of two points of a step counts.

    Args:
        settings: the store.
        run_ids: the runs.
        cache: the cached histories of finished runs; those that a server returns are added. None for no cache.

    Raises:
        StoreError: the store cannot be read.
    """
    uri = resolve_uri(settings)
    with store_errors(uri, "opening the store"):
        database = open_database(uri)
    if database is not None:
        return _from_database(database, run_ids)
    found = cache.read(run_ids) if cache is not None else {}
    missing = [run_id for run_id in run_ids if run_id not in found]
    if missing:
        read, finished = _from_server(settings, missing)
        found |= read
        if cache is not None:
            for run_id in finished:
                cache.add(run_id, read[run_id])
    return found


def history_of(record: RunRecord) -> History:
    """Returns the history of a finished run."""
    steps: dict[str, dict[int, float]] = {}
    for name, value, step, _ in record.metrics:
        if name.startswith(SYSTEM_PREFIX):
            continue
        steps.setdefault(name, {})[step] = restored_metric(value)
    return {name: list(found.items()) for name, found in steps.items()}


def _from_database(database: Database, run_ids: Sequence[str]) -> dict[str, History]:
    """Returns run id -> the points of its metrics, without system metrics."""
    from sqlalchemy import select

    points: dict[str, dict[str, dict[int, float]]] = {run_id: {} for run_id in run_ids}
    row = tables().metrics.c
    with store_errors(database.uri, "reading metrics"), database.reading() as session:
        for chunk in chunks(run_ids, _RUNS_A_QUERY):
            columns = (row.run_uuid, row.key, row.step, row.value, row.is_nan)
            query = select(*columns).where(row.run_uuid.in_(chunk)).order_by(row.step, row.timestamp)
            for run_id, metric, step, value, is_nan in session.execute(query).all():
                if metric.startswith(SYSTEM_PREFIX):
                    continue
                found = float("nan") if is_nan else restored_metric(value)
                points[run_id].setdefault(metric, {})[int(step)] = found
    return {
        run_id: {metric: list(steps.items()) for metric, steps in found.items()} for run_id, found in points.items()
    }


def _from_server(settings: StoreSettings, run_ids: Sequence[str]) -> tuple[dict[str, History], set[str]]:
    """Returns the histories of the runs on a server, and which of the runs are finished."""
    finished: set[str] = set()
    names: dict[str, list[str]] = {}
    for chunk in chunks(run_ids, _RUNS_A_REQUEST):
        for view in search(settings, run_ids=chunk):
            finished |= {view.run_id} if view.status != "RUNNING" else set()
            for name in (each for each in view.metrics if not each.startswith(SYSTEM_PREFIX)):
                names.setdefault(name, []).append(view.run_id)
    requests = [(name, chunk) for name, having in names.items() for chunk in chunks(having, _RUNS_A_REQUEST)]
    points: dict[str, dict[str, Sequence[tuple[int, float]]]] = {run_id: {} for run_id in run_ids}
    for answer in run_concurrently([partial(_metric_of_runs, settings, *each) for each in requests]):
        for run_id, name, history in answer:
            points[run_id][name] = history
    return dict(points), finished


def _metric_of_runs(
    settings: StoreSettings, name: str, run_ids: Sequence[str]
) -> list[tuple[str, str, list[tuple[int, float]]]]:
    bulk = _bulk_points(settings, name, run_ids)
    if bulk is None:  # the server has no such endpoint, or there are more points than it returns
        each = ((run_id, metric_history(settings, run_id, name)) for run_id in run_ids)
        return [(run_id, name, list({point.step: point.value for point in points}.items())) for run_id, points in each]
    steps: dict[str, dict[int, float]] = {}
    for point in sorted(bulk, key=lambda each: (int(each["step"]), int(each["timestamp"]))):
        steps.setdefault(point["run_id"], {})[int(point["step"])] = restored_metric(float(point["value"]))
    return [(run_id, name, list(found.items())) for run_id, found in steps.items()]


def _bulk_points(settings: StoreSettings, name: str, run_ids: Sequence[str]) -> list[dict[str, Any]] | None:
    """Returns all points of a metric in several runs; None if the server cannot tell, or has more than it returns."""
    from mlflow.utils.rest_utils import http_request

    uri = resolve_uri(settings)
    client = client_for(uri)
    if not is_server(client):
        return None
    params = [*(("run_id", run_id) for run_id in run_ids), ("metric_key", name)]
    with store_errors(uri, "reading metrics"):
        path = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
        credentials = client._tracking_client.store.get_host_creds()
        answer = http_request(credentials, path, "GET", params=params, raise_on_status=False)
    if answer.status_code != 200:
        return None
    points: list[dict[str, Any]] = answer.json()["metrics"]
    return points if len(points) < _POINTS_A_REQUEST else None

"""Sends the rows of one run to MLflow, in as few calls as possible.

Sending a row is idempotent. MLflow's store drops a metric that it has with the same key, step, time and value. A
parameter, a tag or an artifact replaces itself. For data sets and models, the sender first checks whether they exist.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import StoreError
from kexp.tracking.delivery.artifacts import repository_of, send_artifacts
from kexp.tracking.delivery.outbox import Cursor, Header, Outbox
from kexp.tracking.record.figures import draw
from kexp.tracking.record.rows import Row, join_rows, split_row
from kexp.tracking.store.client import is_server, is_transient, is_unanswered, load_modules, reason_of
from kexp.tracking.store.concurrent import MAX_CONNECTIONS, run_concurrently
from kexp.tracking.store.heartbeat import end_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["ArtifactsAwayError", "RunSender", "preload_modules"]

_BATCH, _PARAMS, _TAGS = 1000, 100, 100  # MLflow's limits for one log_batch: all entities, params, tags
_FILES = 16  # the most files, figures and models in one batch of rows, because a failed batch is sent again as a whole
_KINDS = {"params", "tags", "metrics", "datasets", "texts", "files", "figures", "models", "end"}
_HEAVY = {"texts", "files", "figures", "models"}  # kinds that are sent to the artifact store
# Modules that take long to import and that the first trial, figure or model needs. MLflow is always imported.
_MODULES = {
    "trial": (),
    "figure": ("matplotlib.figure", "matplotlib.backends.backend_agg"),
    "model": ("mlflow.models",),
}
_logged_datasets: set[tuple[str, str]] = set()  # names and digests
_dataset_locks: dict[frozenset[tuple[str, str]], threading.Lock] = {}  # for threads that log the same data sets


class ArtifactsAwayError(StoreError):
    """The store answers, but its artifact store does not. The rows were sent without their files and models."""


class RunSender:
    """Sends the rows of one run through MLflow's client. Used by one thread at a time.

    Args:
        client: MLflow's client of the run's store.
        run: the run.
        outbox: the outbox with its rows, whose cursor advances with the delivery. None for a whole trial (`send`).

    Attributes:
        cursor: how far the rows are delivered.
        delivered: how many rows this sender has delivered.
        refused: the reason for each row that the store refused.
        models_refused: how many of those were models.
    """

    def __init__(self, client: MlflowClient, run: Header, outbox: Outbox | None = None) -> None:
        self.client, self.run, self.outbox = client, run, outbox
        self.cursor = Cursor() if outbox is None else outbox.cursor()
        self.delivered = 0
        self.refused: list[str] = []
        self.models_refused = 0
        self._folder = Path() if outbox is None else outbox.run_folder
        self._repository: Any = None
        self._ahead = 0  # up to this offset, rows were sent without their files and models
        # Several whole trials are sent at once, so each of them makes one request after the other.
        self._at_once = MAX_CONNECTIONS if outbox is not None and is_server(client) else 1

    def deliver(self, rows: Iterable[tuple[int, Row]]) -> None:
        """Delivers rows of the outbox in order.

        Args:
            rows: pairs of the offset at which a row ends, and the row.

        Raises:
            StoreError: the store is away, locked or overloaded. The cursor is after the last row that it took.
            ArtifactsAwayError: only its artifact store is away.
        """
        assert self.outbox is not None
        batches = list(_batches(rows))
        for number, (offset, rows_of_batch) in enumerate(batches):
            try:
                self._send_or_refuse(join_rows(rows_of_batch))
            except StoreError as error:
                if not join_rows(rows_of_batch).keys() & _HEAVY:
                    raise
                self._send_ahead(batches[number:])
                raise ArtifactsAwayError(str(error)) from error
            self.delivered += len(rows_of_batch)
            self.cursor.delivered = max(self.cursor.delivered, offset)
            self.outbox.advance(self.cursor)

    def _send_ahead(self, batches: Sequence[tuple[int, list[Row]]]) -> None:
        """Sends rows without their files and models, so that metrics do not wait for an artifact store that is away.

        Raises:
            StoreError: the store itself is away.
        """
        later = [(offset, row) for offset, rows_of_batch in batches for row in rows_of_batch if offset > self._ahead]
        light = join_rows({kind: row[kind] for kind in row.keys() - _HEAVY} for _, row in later)
        if light:
            self._send_or_refuse(light)
        self._ahead = max([self._ahead, *(offset for offset, _ in later)])

    def send(self, row: Row) -> None:
        """Sends a row of any size. Its independent parts go to a server at the same time; its end is sent last.

        Raises:
            Exception: the store is away, or refuses a part; it may have any of the others.
        """
        if row.keys() - _KINDS:
            raise StoreError(f"rows of another version of kexp cannot be delivered: {', '.join(row.keys() - _KINDS)}")
        logged = threading.Event()
        run_concurrently(
            [
                partial(self._send_batches, row, logged),
                partial(self._send_datasets, row.get("datasets", ())),
                partial(self._send_files, row),
                partial(self._send_models, row.get("models", ()), logged),
            ],
            self._at_once,
        )
        if "end" in row:
            status, time_ms = row["end"]["status"], row["end"]["time_ms"]
            if self.outbox is None:  # a whole trial has no tags of a run in progress
                self.client.set_terminated(self.run.run_id, status, time_ms)
            else:
                end_run(self.client, self.run.run_id, status, time_ms)

    def _send_batches(self, row: Row, logged: threading.Event) -> None:
        """Sends points, parameters and tags, then sets `logged`, even after a failure."""
        from mlflow.entities import Metric, Param, RunTag

        try:
            for points, params, tags in _calls(row):
                metrics = [Metric(key, value, stamp, step) for key, value, step, stamp in points]
                self.client.log_batch(
                    self.run.run_id,
                    metrics,
                    [Param(*each) for each in params],
                    [RunTag(*each) for each in tags],
                    synchronous=True,
                )
        finally:
            logged.set()

    def _send_files(self, row: Row) -> None:
        figures = [[str(draw(self._folder, each).absolute()), "figures"] for each in row.get("figures", ())]
        if figures or row.get("files") or row.get("texts"):
            send_artifacts(self._artifacts(), {**row, "files": [*row.get("files", ()), *figures]}, self._folder)

    def _send_models(self, models: Sequence[dict[str, Any]], logged: threading.Event) -> None:
        for model in models:
            from kexp.tracking.delivery.logged_models import deliver_model

            assert self.outbox is not None
            deliver_model(self.client, self.run, self.outbox, self.cursor, model, logged.wait)

    def _send_or_refuse(self, row: Row) -> None:
        """Sends a row. If the store refuses it, sends its halves, so that only the part that is wrong is set aside."""
        try:
            self.send(row)
        except Exception as error:
            if self._is_away(error, row):
                raise StoreError(reason_of(error, uri=self.run.uri)) from error
            parts = list(split_row(row))
            if len(parts) > 1:
                self._send_or_refuse(join_rows(parts[: len(parts) // 2]))
                self._send_or_refuse(join_rows(parts[len(parts) // 2 :]))
                return
            assert self.outbox is not None
            reason = reason_of(error, uri=self.run.uri)
            self.refused.append(reason)
            self.models_refused += len(row.get("models", ()))
            self.outbox.refuse(row, reason)

    def _is_away(self, error: Exception, row: Row) -> bool:
        """Returns whether an error means that the store is away, not that it refuses the row.

        INTERNAL_ERROR can mean both. If the run can be read, the store is not away.
        """
        if not is_transient(error):
            return False
        if row.keys() <= _HEAVY:  # the artifact store may be away while the run can be read
            return True
        if getattr(error, "error_code", None) != "INTERNAL_ERROR" or "locked" in str(error) or is_unanswered(error):
            return True
        try:
            self.client.get_run(self.run.run_id)
        except Exception as second:
            return is_transient(second)
        return False

    def _send_datasets(self, rows: Sequence[dict[str, Any]]) -> None:
        """Logs the data sets of a run, one request at a time for data sets that are new."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for row in rows:
            tags = [InputTag("mlflow.data.context", row["context"])]
            about = {key: value for key, value in row.items() if key != "context"}
            inputs.append(DatasetInput(Dataset(**about), tags))
        named = {(row["name"], row["digest"]) for row in rows}
        # If two requests log the same new data set at once, the server fails one of them.
        lock = _dataset_locks.setdefault(frozenset(named), threading.Lock())
        with contextlib.nullcontext() if named <= _logged_datasets else lock:
            if inputs:
                self.client.log_inputs(self.run.run_id, inputs)
                _logged_datasets.update(named)

    def _artifacts(self) -> Any:
        if self._repository is None:
            uri = self.run.artifact_uri or self.client.get_run(self.run.run_id).info.artifact_uri
            self._repository = repository_of(uri, self.client._tracking_client.tracking_uri)
        return self._repository


def preload_modules(kind: str) -> None:
    """Imports the modules that sending a "trial", a "figure" or a "model" needs, before there is one."""
    load_modules(_MODULES[kind])


def _batches(rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[int, list[Row]]]:
    """Yields batches of rows, each with the offset at which its last row ends."""
    batch: list[Row] = []
    points = files = end = 0
    for end, row in rows:
        batch.append(row)
        points += len(row.get("metrics", ()))
        files += len(row.keys() & {"files", "figures", "models"})
        if points >= _BATCH or files >= _FILES:
            yield end, batch
            batch, points, files = [], 0, 0
    if batch:
        yield end, batch


def _calls(row: Row) -> Iterator[tuple[list[Any], list[Any], list[Any]]]:
    """Yields the points, parameters and tags of each call of `log_batch`."""
    points = list(row.get("metrics", ()))
    params, tags = list(row.get("params", {}).items()), list(row.get("tags", {}).items())
    while points or params or tags:
        room = _BATCH - len(params[:_PARAMS]) - len(tags[:_TAGS])
        yield points[:room], params[:_PARAMS], tags[:_TAGS]
        points, params, tags = points[room:], params[_PARAMS:], tags[_TAGS:]

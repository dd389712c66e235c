"""Sends finished runs through MLflow's client, several at the same time.

A server gets `runs/create` for each run, and then the requests of `RunSender`: `runs/log-batch`, `runs/log-inputs`, an
upload for each artifact, and `runs/update`. All of them but `runs/create` are idempotent, so `runs/create` is sent only
once. If its answer is lost, the run is searched for by its tag `kexp.record` before another one is created. A run in
progress is created in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kexp.tracking.delivery.outbox import Header
from kexp.tracking.delivery.run_sender import RunSender
from kexp.tracking.record.run_record import RunRecord, user
from kexp.tracking.store.client import create_once, is_server, is_transient
from kexp.tracking.store.concurrent import MAX_CONNECTIONS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["create_run", "record_on_server", "send_runs"]


# Server -> the number of runs to send at the same time, if it is below `MAX_CONNECTIONS`. It is halved when the server
# does not answer in time.
_slower: dict[str, int] = {}


def send_runs(
    client: MlflowClient,
    experiment: str,
    records: Sequence[RunRecord],
    fresh: Collection[str],
    written: dict[str, str],
) -> None:
    """Sends finished runs, except those that the server has already.

    Args:
        client: MLflow's client of the server.
        experiment: the experiment's id.
        records: the runs.
        fresh, written: see `finished_runs.log_finished_runs`.

    Raises:
        Exception: the first failure, after all records have been tried.
    """
    uri = str(client.tracking_uri)
    width = _slower.get(uri, MAX_CONNECTIONS)
    with ThreadPoolExecutor(min(width, len(records)), thread_name_prefix="kexp-send") as pool:
        sending = [pool.submit(_send, client, experiment, record, record.run_id in fresh) for record in records]
    failures = [failure for each in sending if (failure := each.exception()) is not None]
    if any(is_transient(each) for each in failures):
        _slower[uri] = max(1, width // 2)
    elif len(records) >= width < MAX_CONNECTIONS:
        _slower[uri] = width + 1
    done = [each for each in zip(records, sending, strict=True) if each[1].exception() is None]
    written |= {record.run_id: each.result() for record, each in done}
    if failures:
        raise failures[0]


def create_run(
    client: MlflowClient,
    experiment: str,
    *,
    record_id: str,
    name: str | None,
    start_ms: int,
    tags: Mapping[str, str],
    fresh: bool = True,
) -> Run:
    """Creates a run, or finds the one that an earlier attempt created.

    Args:
        client: MLflow's client of the store.
        experiment: the experiment's id.
        record_id: a unique value for the tag `kexp.record`, which only runs on a server have.
        name: the run's name; None lets MLflow choose one.
        start_ms: start time, milliseconds since 1970.
        tags: the run's tags.
        fresh: whether this is the first attempt.

    Raises:
        Exception: the store is away, or refuses the run.
    """
    from mlflow.entities import RunTag

    all_tags = {**tags, "kexp.record": record_id} if is_server(client) else tags

    def make(store: Any) -> Run:
        made: Run = store.create_run(experiment, user(), start_ms, [RunTag(*each) for each in all_tags.items()], name)
        return made

    def find() -> Run | None:
        return record_on_server(client, experiment, record_id)

    existing = None if fresh or not is_server(client) else find()
    return existing or create_once(client._tracking_client.store, "runs/create", make, find)


def record_on_server(client: MlflowClient, experiment: str, record_id: str) -> Run | None:
    """Returns the run that a server created from a record, with a new id; None if there is none."""
    found = client.search_runs([experiment], f"tags.`kexp.record` = '{record_id}'", max_results=1)
    return found[0] if found else None


def _send(client: MlflowClient, experiment: str, record: RunRecord, fresh: bool) -> str:
    """Sends one finished run. Returns the id that the server gave it."""
    row = dict(record.row)
    run = create_run(
        client,
        experiment,
        record_id=record.run_id,
        name=record.name,
        start_ms=record.start_ms,
        tags=row.pop("tags"),
        fresh=fresh,
    )
    header = Header("", run.info.run_id, experiment, record.name, run.info.artifact_uri)
    if run.info.status != record.status:  # else an earlier attempt has sent everything
        RunSender(client, header).send(row)
    return header.run_id

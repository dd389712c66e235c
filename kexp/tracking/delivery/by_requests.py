"""Runs that are over, sent through MLflow's client, to a server as a rule: a few requests each, several runs at a time.

A run takes `runs/create` with its tags, and then what any row takes (`delivery`): `runs/log-batch`, `runs/log-inputs`,
an upload for each artifact, and `runs/update`. Only `runs/create` does harm when it is repeated, so it is sent once.
Where its answer is lost, the run is looked for by its tag `kexp.record` before another one is made. A run in progress
is made in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kexp.tracking.delivery.by_rows import RunSender
from kexp.tracking.delivery.outbox import Header
from kexp.tracking.record.run_record import RunRecord, user
from kexp.tracking.store.client import is_server, is_transient, make_once
from kexp.tracking.store.side_by_side import AT_ONCE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["create_run", "record_on_server", "send_runs"]


# Server -> runs at a time, where not so many as usual: one that did not answer in time gets half as many.
_slower: dict[str, int] = {}


def send_runs(
    client: MlflowClient,
    experiment: str,
    records: Sequence[RunRecord],
    fresh: Collection[str] = (),
    written: dict[str, str] | None = None,
) -> list[str]:
    """Sends runs that are over, those that the server has already not again.

    Args:
        client: of the server.
        experiment: its id.
        records: the runs.
        fresh, written: as of `finished.log_finished_runs`.

    Returns:
        The server's id of each run.

    Raises:
        Exception: the first failure, once every record was tried.
    """
    uri = str(client.tracking_uri)
    width = _slower.get(uri, AT_ONCE)
    with ThreadPoolExecutor(min(width, len(records)), thread_name_prefix="kexp-send") as pool:
        sending = [pool.submit(_send, client, experiment, record, record.run_id in fresh) for record in records]
    failures = [failure for each in sending if (failure := each.exception()) is not None]
    if any(is_transient(each) for each in failures):
        _slower[uri] = max(1, width // 2)
    elif len(records) >= width < AT_ONCE:
        _slower[uri] = width + 1
    if written is not None:
        written |= {
            record.run_id: each.result()
            for record, each in zip(records, sending, strict=True)
            if each.exception() is None
        }
    return [each.result() for each in sending]


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
    """Makes a run, or finds the one that an earlier attempt has made.

    Args:
        client: of the store.
        experiment: its id.
        record_id: what no other run has as its tag `kexp.record`, which only a server is given.
        name: the run's; None has MLflow make one up.
        start_ms: when it began, milliseconds since 1970.
        tags: its tags.
        fresh: whether nobody has tried before.

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

    there = None if fresh or not is_server(client) else find()
    return there or make_once(client._tracking_client.store, "runs/create", make, find)


def record_on_server(client: MlflowClient, experiment: str, record_id: str) -> Run | None:
    """The run that a record became on a server, which gives runs ids of its own; None where there is none."""
    found = client.search_runs([experiment], f"tags.`kexp.record` = '{record_id}'", max_results=1)
    return found[0] if found else None


def _send(client: MlflowClient, experiment: str, record: RunRecord, fresh: bool) -> str:
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
    if run.info.status != record.status:  # else an earlier attempt came to its last request
        RunSender(client, header).send(row)
    return header.run_id

"""Runs that are over, sent through MLflow's client, to a server as a rule: a few requests each, several runs at a time.

A run takes `runs/create` with its tags, and then what any row takes (`delivery`): `runs/log-batch`, `runs/log-inputs`,
an upload for each artifact, and `runs/update`. Only `runs/create` does harm when it is repeated, so it is sent once.
Where its answer is lost, the run is looked for by its tag `kexp.record` before another one is made.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kexp.tracking.client import AT_ONCE
from kexp.tracking.delivery import RunSender
from kexp.tracking.outbox import Header
from kexp.tracking.record import RunRecord, user

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["record_on_server", "send_runs"]


def send_runs(
    client: MlflowClient, experiment: str, records: Sequence[RunRecord], fresh: Collection[str] = ()
) -> list[str]:
    """Sends runs that are over, those that the server has already not again.

    Args:
        client: of the server.
        experiment: its id.
        records: the runs.
        fresh: ids of the records that nobody has tried to send before, so that they need not be looked for.

    Returns:
        The server's id of each run.

    Raises:
        Exception: the first failure, once every record was tried.
    """
    with ThreadPoolExecutor(min(AT_ONCE, len(records)), thread_name_prefix="kexp-send") as pool:
        sending = [pool.submit(_send, client, experiment, record, record.run_id in fresh) for record in records]
    return [each.result() for each in sending]


def record_on_server(client: MlflowClient, experiment: str, record_id: str) -> Run | None:
    """The run that a record became on a server, which gives runs ids of its own; None where there is none."""
    found = client.search_runs([experiment], f"tags.`kexp.record` = '{record_id}'", max_results=1)
    return found[0] if found else None


def _send(client: MlflowClient, experiment: str, record: RunRecord, fresh: bool) -> str:
    run = None if fresh else record_on_server(client, experiment, record.run_id)
    if run is None:
        run = _create(client, experiment, record)
    elif run.info.status == record.status:  # the last request of an earlier attempt
        return str(run.info.run_id)
    header = Header("", run.info.run_id, experiment, record.name, run.info.artifact_uri)
    RunSender(client, header).send({kind: content for kind, content in record.row.items() if kind != "tags"})
    return header.run_id


def _create(client: MlflowClient, experiment: str, record: RunRecord) -> Run:
    """`MlflowClient.create_run`, but never repeated by the HTTP library where an answer is lost."""
    tags = {**record.row["tags"], "kexp.record": record.run_id}
    store = client._tracking_client.store
    if not hasattr(store, "get_host_creds"):  # a folder of files, say
        return client.create_run(experiment, record.start_ms, tags, run_name=record.name)
    from mlflow.entities import Run
    from mlflow.protos.service_pb2 import CreateRun
    from mlflow.utils.proto_json_utils import parse_dict
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    asked = {
        "experiment_id": experiment,
        "user_id": user(),
        "start_time": record.start_ms,
        "run_name": record.name,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    endpoint = "/api/2.0/mlflow/runs/create"
    answer = http_request(store.get_host_creds(), endpoint, "POST", max_retries=0, json=asked)
    created: Any = CreateRun.Response()
    parse_dict(verify_rest_response(answer, endpoint).json(), created)
    return Run.from_proto(created.run)

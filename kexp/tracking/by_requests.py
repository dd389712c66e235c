"""Runs that are over, sent through MLflow's client, to a server as a rule: a few requests each, several runs at a time.

A run takes `runs/create` with its tags, `runs/log-batch`, `runs/log-inputs`, an upload for each artifact, and
`runs/update`. Only `runs/create` does harm when it is repeated, so it is sent once. Where its answer is lost, the run
is looked for by its tag `kexp.record` before another one is made.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kexp.tracking.record import RunRecord, artifacts_of, datasets_of, points_of, tags_of, user
from kexp.tracking.rows import param_row

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["AT_ONCE", "send_runs"]

AT_ONCE = 16  # connections; more gained nothing against one MLflow server at 0.2 s a request
_BATCH = 1000  # MLflow's limit of entities in one log-batch
_PARAMS = 100  # and of parameters among them
_datasets: set[tuple[str, str]] = set()  # names and digests of those that a server was told of
_first = threading.Lock()


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


def _send(client: MlflowClient, experiment: str, record: RunRecord, fresh: bool) -> str:
    run = None if fresh else _found(client, experiment, record)
    if run is None:
        run = _create(client, experiment, record)
    elif run.info.status == record.status:  # the last request of an earlier attempt
        return str(run.info.run_id)
    run_id = str(run.info.run_id)
    _send_values(client, run_id, record)
    _send_artifacts(client, run, record)
    client.set_terminated(run_id, record.status, record.end_ms)
    return run_id


def _found(client: MlflowClient, experiment: str, record: RunRecord) -> Run | None:
    found = client.search_runs([experiment], f"tags.`kexp.record` = '{record.run_id}'", max_results=1)
    return found[0] if found else None


def _create(client: MlflowClient, experiment: str, record: RunRecord) -> Run:
    """`MlflowClient.create_run`, but never repeated by the HTTP library where an answer is lost."""
    tags = {**tags_of(record), "kexp.record": record.run_id}
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


def _send_values(client: MlflowClient, run_id: str, record: RunRecord) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    params = [Param(key, value) for key, value in param_row(record.params)[0]["params"].items()]
    metrics = [Metric(key, value, stamp, step) for key, value, step, stamp in points_of(record)]
    while params or metrics:
        room = _BATCH - len(params[:_PARAMS])
        client.log_batch(run_id, metrics[:room], params[:_PARAMS], synchronous=True)
        metrics, params = metrics[room:], params[_PARAMS:]
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    inputs = [
        DatasetInput(Dataset(**{name: row[name] for name in names}), [InputTag("mlflow.data.context", row["context"])])
        for row in datasets_of(record)
    ]
    if not inputs:
        return
    named = {(each.dataset.name, each.dataset.digest) for each in inputs}
    if named <= _datasets:
        client.log_inputs(run_id, inputs)
        return
    with _first:  # the server fails one of two that bring it the same new data set at once
        client.log_inputs(run_id, inputs)
        _datasets.update(named)


def _send_artifacts(client: MlflowClient, run: Run, record: RunRecord) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with artifacts_of(record) as folder:
        if folder is not None:  # the client would ask for the run once more to know where they go
            where = get_artifact_repository(run.info.artifact_uri, tracking_uri=client._tracking_client.tracking_uri)
            where.log_artifacts(str(folder))

"""Delivers Keras models as MLflow LoggedModels. Until then, their files are in the outbox."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from kexp.tracking.delivery.artifacts import repository_of, send_folder
from kexp.tracking.delivery.outbox import Cursor, Header, Outbox
from kexp.tracking.record.model_files import describe_model
from kexp.tracking.store.client import create_once, is_server
from kexp.tracking.store.concurrent import MAX_CONNECTIONS, run_concurrently
from kexp.tracking.store.model_registry import Registration, register
from kexp.tracking.values import SYSTEM_PREFIX

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

__all__ = ["deliver_model"]

_PARAMS = 100  # a server's limit for a model that is created


def deliver_model(
    client: MlflowClient,
    header: Header,
    outbox: Outbox,
    cursor: Cursor,
    row: dict[str, Any],
    wait_for_points: Callable[[], object],
) -> None:
    """Creates the LoggedModel of a row, with its files, metrics, link to the run and registration.

    Continues an earlier attempt that did not complete.

    Args:
        client: MLflow's client of the store.
        header: the run.
        outbox: the outbox with the row.
        cursor: gets the model's id.
        row: see `model_row`.
        wait_for_points: returns when the store has the run's own points. Points of the model must not be logged before.
    """
    folder = outbox.run_folder / row["local"]
    tried = folder.with_name(f"{folder.name}.tried")
    fresh = folder.exists() and not tried.exists()  # else an earlier attempt may have ended at any point
    tried.touch()
    model = None if fresh else _created_before(client, header, row)
    if model is not None and model.status == "READY" and not folder.exists():
        cursor.models[row["key"]] = model.model_id
        tried.unlink()
        return
    model = model or _create(client, header, row)
    model_id = model.model_id
    cursor.models[row["key"]] = model_id
    outbox.advance(cursor)
    describe_model(folder, header.run_id, model_id, row)
    files = repository_of(model.artifact_location, client._tracking_client.tracking_uri)

    def link() -> None:
        wait_for_points()
        _link_metrics(client, header.run_id, model_id, row)

    output = partial(_add_output, client, header.run_id, model_id, row["step"], fresh)
    calls: list[Callable[[], None]] = [partial(send_folder, files, folder), output, link]
    run_concurrently(calls, MAX_CONNECTIONS if is_server(client) else 1)
    client.finalize_logged_model(model_id, "READY")
    if row["register"]:
        register(client, header.uri, Registration(**row["register"]), model_id, header.run_id)
    shutil.rmtree(folder, ignore_errors=True)
    tried.unlink()


def _add_output(client: MlflowClient, run_id: str, model_id: str, step: int, fresh: bool) -> None:
    """Links the run to its model, unless an earlier attempt did."""
    from mlflow.entities import LoggedModelOutput

    outputs = None if fresh else client.get_run(run_id).outputs
    if outputs is None or model_id not in {each.model_id for each in outputs.model_outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step)])


def _link_metrics(client: MlflowClient, run_id: str, model_id: str, row: Mapping[str, Any]) -> None:
    """Logs the run's metrics as metrics of the model, too."""
    from mlflow.entities import Metric

    linked = _last_points(client, run_id) if row["metrics"] is None else row["metrics"]
    points = [
        Metric(key, value, stamp, at, model_id=model_id, run_id=run_id, **_data_of(key, row))
        for key, value, at, stamp in linked
        if not key.startswith(SYSTEM_PREFIX)
    ]
    if points:
        client.log_batch(run_id, points, synchronous=True)


def _data_of(metric: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Returns name and digest of the data set that a metric was measured on, by the longest matching prefix."""
    for prefix, (name, digest) in sorted(row.get("datasets", {}).items(), key=lambda each: -len(each[0])):
        if metric.startswith(prefix):
            return {"dataset_name": name, "dataset_digest": digest}
    return {}


def _create(client: MlflowClient, header: Header, row: dict[str, Any]) -> LoggedModel:
    tags, params = {"kexp.key": row["key"], **row.get("tags", {})}, list(row["params"].items())
    most = _PARAMS if is_server(client) else len(params)
    from mlflow.entities import LoggedModelParameter, LoggedModelTag

    def make(store: Any) -> LoggedModel:
        made: LoggedModel = store.create_logged_model(
            header.experiment_id,
            row["name"],
            header.run_id,
            [LoggedModelTag(*each) for each in tags.items()],
            [LoggedModelParameter(*each) for each in params[:most]],
            "keras",
        )
        return made

    store = client._tracking_client.store
    model = create_once(store, "logged-models", make, lambda: _created_before(client, header, row))
    if rest := dict(params[most:]):
        client.log_model_params(model.model_id, rest)
    return model


def _last_points(client: MlflowClient, run_id: str) -> list[tuple[str, float, int, int]]:
    keys = client.get_run(run_id).data.metrics
    points = [
        history[-1] for history in run_concurrently([partial(client.get_metric_history, run_id, key) for key in keys])
    ]
    return [(point.key, point.value, point.step, point.timestamp) for point in points]


def _created_before(client: MlflowClient, header: Header, row: dict[str, Any]) -> LoggedModel | None:
    """Returns the model that an earlier attempt created, even if its process died before it noted that."""
    found = client.search_logged_models([header.experiment_id], f"source_run_id = '{header.run_id}'")
    return next((model for model in found if model.tags.get("kexp.key") == row["key"]), None)

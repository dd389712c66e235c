"""Keras models as MLflow LoggedModels: written beside the run at once, delivered like any other row."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp import serving
from kexp.tracking.delivery.artifacts import repository_of, send_folder
from kexp.tracking.delivery.outbox import Cursor, Header, Outbox, Row
from kexp.tracking.record.rows import param_row
from kexp.tracking.record.run_record import lineage
from kexp.tracking.record.tracker import Served
from kexp.tracking.store.client import is_server, make_once
from kexp.tracking.store.model_registry import Registration, register
from kexp.tracking.store.side_by_side import AT_ONCE, side_by_side
from kexp.tracking.values import ABOUT

if TYPE_CHECKING:
    import keras
    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

__all__ = ["deliver_model", "model_row", "requirements"]

_EXAMPLE, _SENT = "input_example.json", "serving_input_example.json"
_PARAMS = 100  # MLflow's limit for a model that is made


def requirements(more: Sequence[str] = ()) -> list[str]:
    """What loading a model takes, pinned to what is here. Stated, as MLflow would infer it in 11 to 21 s.

    Args:
        more: names of further packages, or such with their versions.
    """
    import sys
    from importlib.metadata import version

    engines = [name for name in ("tensorflow", "jax", "torch") if name in sys.modules]
    import keras

    wanted = dict.fromkeys(["keras", "numpy", *(name for name in engines if name == keras.backend.backend()), *more])
    return [name if "==" in name else f"{name}=={version(name)}" for name in wanted]


def model_row(
    outbox: Outbox,
    model: keras.Model,
    x: np.ndarray,
    y_pred: np.ndarray,
    *,
    metrics: Mapping[str, tuple[float, int, int]] | None,
    step: int,
    name: str = "model",
    register: Registration | None = None,
    params: Mapping[str, Any] | None = None,
    datasets: Mapping[str, tuple[str, str]] | None = None,
    served: Served | None = None,
) -> Row:
    """Saves `model` inside the outbox, and returns the row that stands for it. MLflow is not needed for that.

    `metrics` are what it is linked to: value, step and time of each; None are the last ones that the run has.
    The others are those of `Tracker.log_keras_model`.
    """
    import keras

    folder = outbox.folder / "models" / f"{name}-{step}-{time.time_ns():x}"
    try:
        described = _put_model(folder, model, served)
    except BaseException:  # a full disk, say
        shutil.rmtree(folder, ignore_errors=True)
        raise
    about = {
        "key": folder.name,
        "local": str(folder.relative_to(outbox.run_folder)),
        "name": name,
        "register": None if register is None else register.as_dict(),
        "step": step,
        "tags": lineage(None),
        "params": param_row(params or {})[0]["params"],
        "metrics": None if metrics is None else [[key, *point] for key, point in metrics.items()],
        "datasets": {prefix: list(each) for prefix, each in (datasets or {}).items()},
        "inputs": [str(x.dtype), list(x.shape[1:])],
        "outputs": [str(y_pred.dtype), list(y_pred.shape[1:])],
        "keras": [keras.__version__, keras.backend.backend()],
        "requirements": requirements() if served is None else requirements(["pandas", *served.requirements]),
        **described,
    }
    return {"models": [about]}


def _put_model(folder: Path, model: keras.Model, served: Served | None) -> dict[str, Any]:
    """Puts a model, and what serves it, into a folder. Returns what MLflow's description says of the latter."""
    data = folder / "data"
    data.mkdir(parents=True)
    (data / "keras_module.txt").write_text("keras")
    model.save(data / "model.keras")
    return {} if served is None else _put_served(folder, served)


def _put_served(folder: Path, served: Served) -> dict[str, Any]:
    """Puts what serves raw rows beside the Keras file: what it reads, `kexp.serving` under a name of its own, the
    user's modules, an example. Returns what MLflow's description says of it."""
    (folder / "data" / serving.FILE).write_text(json.dumps(served.kept), encoding="utf-8")
    sources = {file.name: file.read_bytes() for file in sorted(Path(serving.__file__).parent.glob("*.py"))}
    package = serving.PACKAGE + hashlib.sha256(b"".join(sources.values())).hexdigest()[:12]
    files = {f"{package}/{name}": content for name, content in sources.items()}
    files |= {name: file.read_bytes() for name, file in served.code.items()}
    for name, content in files.items():
        target = folder / "code" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    described = {
        "loader": package,
        "signature": {"inputs": json.dumps(served.inputs), "outputs": json.dumps(served.outputs), "params": None},
    }
    if served.example is None:
        return described
    frame = isinstance(served.example, Mapping)
    sent = {"dataframe_split" if frame else "inputs": served.example}
    (folder / _EXAMPLE).write_text(json.dumps(served.example), encoding="utf-8")
    (folder / _SENT).write_text(json.dumps(sent, indent=2), encoding="utf-8")
    kind = {"type": "dataframe", "pandas_orient": "split"} if frame else {"type": "ndarray"}
    return {**described, "example": {"artifact_path": _EXAMPLE, "serving_input_path": _SENT, **kind}}


def deliver_model(
    client: MlflowClient,
    header: Header,
    outbox: Outbox,
    cursor: Cursor,
    row: dict[str, Any],
    run_is_told: Callable[[], object] = bool,
) -> None:
    """Makes the LoggedModel of `row`: files, link to the run, metrics, registry. Takes up an earlier attempt.

    Args:
        client: of the store.
        header: the run.
        outbox: where the row waits.
        cursor: is given the model's id.
        row: see `model_row`.
        run_is_told: returns once the store has the run's own points: two that bring the same ones would meet.
    """
    folder = outbox.run_folder / row["local"]
    tried = folder.with_name(f"{folder.name}.tried")
    fresh = folder.exists() and not tried.exists()  # else an attempt may have come to any point
    tried.touch()
    model = None if fresh else _made_before(client, header, row)
    if model is not None and model.status == "READY" and not folder.exists():
        cursor.models[row["key"]] = model.model_id
        tried.unlink()
        return
    model = model or _create(client, header, row)
    model_id = model.model_id
    cursor.models[row["key"]] = model_id
    outbox.advance(cursor)
    _describe(folder, header, model_id, row)
    files = repository_of(model.artifact_location, client._tracking_client.tracking_uri)

    def link() -> None:
        run_is_told()
        _link_metrics(client, header.run_id, model_id, row)

    output = partial(_add_output, client, header.run_id, model_id, row["step"], fresh)
    calls: list[Callable[[], None]] = [partial(send_folder, files, folder), output, link]
    side_by_side(calls, AT_ONCE if is_server(client) else 1)
    client.finalize_logged_model(model_id, "READY")
    if row["register"]:
        register(client, header.uri, Registration(**row["register"]), model_id, header.run_id)
    shutil.rmtree(folder, ignore_errors=True)
    tried.unlink()


def _add_output(client: MlflowClient, run_id: str, model_id: str, step: int, fresh: bool) -> None:
    """Links the run to its model, unless an earlier attempt has done so."""
    from mlflow.entities import LoggedModelOutput

    outputs = None if fresh else client.get_run(run_id).outputs
    if outputs is None or model_id not in {each.model_id for each in outputs.model_outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step)])


def _link_metrics(client: MlflowClient, run_id: str, model_id: str, row: Mapping[str, Any]) -> None:
    """Has the store show the run's metrics as the model's too."""
    from mlflow.entities import Metric

    linked = _last_points(client, run_id) if row["metrics"] is None else row["metrics"]
    points = [
        Metric(key, value, stamp, at, model_id=model_id, run_id=run_id, **_data_of(key, row))
        for key, value, at, stamp in linked
        if not key.startswith(ABOUT)
    ]
    if points:
        client.log_batch(run_id, points, synchronous=True)


def _data_of(metric: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Name and digest of the data set that a metric was measured on; the longest beginning of its name counts."""
    for prefix, (name, digest) in sorted(row.get("datasets", {}).items(), key=lambda each: -len(each[0])):
        if metric.startswith(prefix):
            return {"dataset_name": name, "dataset_digest": digest}
    return {}


def _create(client: MlflowClient, header: Header, row: dict[str, Any]) -> LoggedModel:
    tags, params = {"kexp.key": row["key"], **row.get("tags", {})}, list(row["params"].items())
    from mlflow.entities import LoggedModelParameter, LoggedModelTag

    def make(store: Any) -> LoggedModel:
        made: LoggedModel = store.create_logged_model(
            header.experiment_id,
            row["name"],
            header.run_id,
            [LoggedModelTag(*each) for each in tags.items()],
            [LoggedModelParameter(*each) for each in params[:_PARAMS]],
            "keras",
        )
        return made

    store = client._tracking_client.store
    model = make_once(store, "logged-models", make, lambda: _made_before(client, header, row))
    if rest := dict(params[_PARAMS:]):
        client.log_model_params(model.model_id, rest)
    return model


def _last_points(client: MlflowClient, run_id: str) -> list[tuple[str, float, int, int]]:
    keys = client.get_run(run_id).data.metrics
    points = [
        history[-1] for history in side_by_side([partial(client.get_metric_history, run_id, key) for key in keys])
    ]
    return [(point.key, point.value, point.step, point.timestamp) for point in points]


def _made_before(client: MlflowClient, header: Header, row: dict[str, Any]) -> LoggedModel | None:
    """The model that an attempt made whose process died before it could note so."""
    found = client.search_logged_models([header.experiment_id], f"source_run_id = '{header.run_id}'")
    return next((model for model in found if model.tags.get("kexp.key") == row["key"]), None)


def _describe(folder: Path, header: Header, model_id: str, row: dict[str, Any]) -> None:
    """Writes what makes a folder with a Keras file one of MLflow's Keras flavour.

    As `mlflow.keras.save_model` does, which needs the model itself, and so Keras in the process that has MLflow.
    `mlflow.pyfunc` is not imported either: it takes a second, and warns about MLflow's own type hints.
    """
    import mlflow
    import numpy as np
    import yaml
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    if "signature" in row:
        signature = ModelSignature.from_dict(row["signature"])
    else:
        tensors = (TensorSpec(np.dtype(kind), (-1, *shape)) for kind, shape in (row["inputs"], row["outputs"]))
        signature = ModelSignature(*(Schema([tensor]) for tensor in tensors))
    description = Model(
        artifact_path=f"models:/{model_id}",
        run_id=header.run_id,
        model_id=model_id,
        signature=signature,
        saved_input_example_info=row.get("example"),
        model_size_bytes=sum(file.stat().st_size for file in (folder / "data").iterdir()),
    )
    keras_version, backend = row["keras"]
    description.add_flavor(
        "keras", data="data", keras_version=keras_version, keras_backend=backend, save_exported_model=False
    )
    raw = {"loader_module": row["loader"], "data": "data", "code": "code"} if "loader" in row else {}
    python = platform.python_version()
    places = {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    description.add_flavor(
        "python_function", **{"loader_module": "mlflow.keras", **raw}, python_version=python, env=places
    )
    description.save(str(folder / "MLmodel"))
    wanted = [f"mlflow=={mlflow.__version__}", *row["requirements"]]
    (folder / "requirements.txt").write_text("\n".join(wanted))
    (folder / "python_env.yaml").write_text(
        yaml.safe_dump(
            {"python": python, "build_dependencies": ["pip", "setuptools"], "dependencies": ["-r requirements.txt"]},
            sort_keys=False,
        )
    )
    packages = [f"python={python}", "pip", {"pip": wanted}]
    (folder / "conda.yaml").write_text(
        yaml.safe_dump({"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": packages})
    )

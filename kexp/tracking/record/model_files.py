"""Writes the folder of an MLflow LoggedModel: a Keras file, the files that serve it, and MLflow's description."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp import serving
from kexp.tracking.record.rows import Row, param_row
from kexp.tracking.record.run_record import lineage
from kexp.tracking.record.tracker import ServingFiles
from kexp.tracking.store.model_registry import Registration

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["describe_model", "model_row", "requirements"]

_NAME = "model"  # of the LoggedModel
_EXAMPLE, _SENT = "input_example.json", "serving_input_example.json"


def requirements(more: Sequence[str] = ()) -> list[str]:
    """Returns the packages that loading a model needs, with the installed versions.

    MLflow would infer them in 11 to 21 s.

    Args:
        more: names of further packages, or names with versions.
    """
    import sys
    from importlib.metadata import version

    engines = [name for name in ("tensorflow", "jax", "torch") if name in sys.modules]
    import keras

    wanted = dict.fromkeys(["keras", "numpy", *(name for name in engines if name == keras.backend.backend()), *more])
    return [name if "==" in name else f"{name}=={version(name)}" for name in wanted]


def model_row(
    models: Path,
    run_folder: Path,
    model: keras.Model,
    x: np.ndarray,
    y_pred: np.ndarray,
    *,
    metrics: Mapping[str, tuple[float, int, int]] | None,
    step: int,
    register: Registration | None = None,
    params: Mapping[str, Any] | None = None,
    datasets: Mapping[str, tuple[str, str]] | None = None,
    served: ServingFiles | None = None,
) -> Row:
    """Saves a model, and returns its row. Does not import MLflow.

    Args:
        models: the folder in which the model gets a folder.
        run_folder: the run's folder, to which paths in rows are relative.
        metrics: metric -> value, step and time of the points to link with the model; None means the run's last ones.

    The other arguments are those of `Tracker.log_keras_model`.
    """
    import keras

    folder = models / f"{_NAME}-{step}-{time.time_ns():x}"
    try:
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "keras_module.txt").write_text("keras")
        model.save(folder / "data" / "model.keras")
        described = {} if served is None else _put_served(folder, served)
    except BaseException:  # for example a full disk
        shutil.rmtree(folder, ignore_errors=True)
        raise
    about = {
        "key": folder.name,
        "local": str(folder.relative_to(run_folder)),
        "name": _NAME,
        "register": None if register is None else asdict(register),
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


def _put_served(folder: Path, served: ServingFiles) -> dict[str, Any]:
    """Writes the files that serve raw rows: `serving.json`, a copy of `kexp.serving`, the user's modules, an example.

    Returns:
        The entries about them for MLflow's description.
    """
    (folder / "data" / serving.FILE).write_text(json.dumps(served.contract), encoding="utf-8")
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


def describe_model(folder: Path, run_id: str, model_id: str, row: dict[str, Any]) -> None:
    """Writes MLflow's description and requirements into a folder with a Keras file.

    `mlflow.keras.save_model` does the same, but needs the model, and therefore Keras, in this process. `mlflow.pyfunc`
    is not imported, because that takes a second and warns about MLflow's own type hints.

    Args:
        folder: the folder, as `model_row` wrote it.
        run_id: the run that logs the model.
        model_id: MLflow's id of the LoggedModel.
        row: the model's row.
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
        run_id=run_id,
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

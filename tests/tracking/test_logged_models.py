"""Keras models in MLflow: linked to their run and its metrics, loadable by MLflow itself, registered once."""

from __future__ import annotations

import time
from pathlib import Path

import keras
import mlflow.keras
import numpy as np
import pytest
import yaml

from kexp.tracking import Registration, StoreSettings, find_run, open_run, sync
from kexp.tracking.record.model_files import requirements
from kexp.tracking.store.client import client_for


@pytest.fixture
def model() -> keras.Sequential:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])


def test_logged_model_loads_and_predicts_the_same(
    model: keras.Sequential, settings: StoreSettings, tmp_path: Path
) -> None:
    x = np.random.default_rng().normal(size=(6, 4)).astype("float32")
    y = np.asarray(model(x))
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_metrics({"loss": 0.5, "val_loss": 0.6}, step=1)
    run.log_metrics({"loss": 0.4, "val_loss": 0.5}, step=2)
    began = time.monotonic()
    run.log_keras_model(model, x, y, params={"optimizer.name": "adam"}, register=Registration("digits"))
    assert time.monotonic() - began < 10, "requirements are stated, not inferred in a subprocess"
    run.end("FINISHED")
    assert run.notice == ""
    client = client_for(settings.uri or "")
    logged = client.get_logged_model(run.model_id or "")
    assert logged.source_run_id == run.run_id
    assert logged.status.value == "READY"
    assert logged.params == {"optimizer.name": "adam"}
    assert {(metric.key, metric.value, metric.step) for metric in logged.metrics} == {
        ("loss", 0.4, 2),
        ("val_loss", 0.5, 2),
    }
    assert find_run(settings, run.run_id).model_ids == (run.model_id,)
    (version,) = client.search_model_versions("name = 'digits'")
    mlflow.set_tracking_uri(settings.uri)
    try:
        for uri in (f"models:/{run.model_id}", f"models:/digits/{version.version}"):
            loaded = mlflow.keras.load_model(uri)
            np.testing.assert_array_equal(np.asarray(loaded(x)), y)
        described = mlflow.models.get_model_info(f"models:/{run.model_id}")
    finally:
        mlflow.set_tracking_uri(None)
    assert [spec.shape for spec in described.signature.inputs.inputs] == [(-1, 4)]
    assert [spec.shape for spec in described.signature.outputs.inputs] == [(-1, 3)]
    assert described.run_id == run.run_id
    assert not list((tmp_path / "run" / "outbox" / "models").iterdir()), "what the store has needs no copy"


def test_model_delivered_again_is_one_model(model: keras.Sequential, settings: StoreSettings, tmp_path: Path) -> None:
    """As after a crash between the model's making in the store and its noting on disk."""
    x = np.zeros((2, 4), "float32")
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_keras_model(
        model, x, np.asarray(model(x)), register=Registration("once"), metrics={"test_loss": 0.3}, step=5
    )
    run.end("FINISHED")
    (tmp_path / "run" / "outbox" / "cursor.json").unlink()
    (delivered,) = sync(tmp_path)
    client = client_for(settings.uri or "")
    assert delivered.refused == ()
    assert find_run(settings, run.run_id).model_ids == (run.model_id,)
    assert len(client.search_logged_models([client.get_experiment_by_name("kexp").experiment_id])) == 1
    assert len(client.search_model_versions("name = 'once'")) == 1
    (metric,) = client.get_logged_model(run.model_id or "").metrics
    assert (metric.key, metric.value, metric.step) == ("test_loss", 0.3, 5)


def test_logged_model_is_described_as_mlflow_describes_one(
    model: keras.Sequential, settings: StoreSettings, tmp_path: Path
) -> None:
    """Ours is written by a process that has no Keras; whatever reads MLflow's must find the same in it."""
    x = np.zeros((2, 4), "float32")
    y = np.asarray(model(x))
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_keras_model(model, x, y)
    run.end("FINISHED")
    logged = client_for(settings.uri or "").get_logged_model(run.model_id or "")
    ours, theirs = Path(logged.artifact_location), tmp_path / "theirs"
    mlflow.keras.save_model(
        model, str(theirs), signature=mlflow.models.infer_signature(x, y), pip_requirements=requirements()
    )
    own = {"artifact_path", "model_id", "model_uuid", "model_size_bytes", "run_id", "utc_time_created"}
    read, expected = (yaml.safe_load((folder / "MLmodel").read_text()) for folder in (ours, theirs))
    assert {**read, **dict.fromkeys(own)} == {**expected, **dict.fromkeys(own)}
    assert {path.name for path in ours.rglob("*")} == {path.name for path in theirs.rglob("*")}
    for name in ("requirements.txt", "data/keras_module.txt"):
        assert (ours / name).read_text() == (theirs / name).read_text()
    for name in ("conda.yaml", "python_env.yaml"):
        assert set(yaml.safe_load((ours / name).read_text())) == set(yaml.safe_load((theirs / name).read_text()))

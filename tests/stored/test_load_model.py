from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from finished_runs import FORMATS, Finished
from sklearn.datasets import load_digits

import kexp
from kexp import stored
from kexp.errors import ConfigError, LoadError, UnknownNameError
from kexp.tracking.server import running_server


@pytest.fixture
def x() -> np.ndarray:
    return np.asarray(load_digits().data[:40], dtype="float32")


@pytest.mark.parametrize("format", [None, *FORMATS])
def test_load_model_gives_the_trained_model_from_any_format(there: Finished, x: np.ndarray, format: str | None) -> None:
    model = kexp.load_model(there.digits.run_id, format)
    expected = there.digits.model.predict(x, verbose=0)
    if format == "saved_model":
        np.testing.assert_allclose(model(x), expected, atol=1e-6)
        return
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    assert model.compiled
    assert type(model.optimizer) is type(there.digits.model.optimizer)
    assert float(model.optimizer.learning_rate) == float(there.digits.model.optimizer.learning_rate)
    assert set(model.evaluate(x, np.zeros(40), verbose=0, return_dict=True)) == {"loss", "accuracy"}


def test_load_model_gives_a_model_that_trains_on(there: Finished, x: np.ndarray) -> None:
    model = kexp.load_model(there.digits.run_id[:10], format="h5")
    y = load_digits().target[:40]
    before = model.evaluate(x, y, verbose=0)[0]
    model.fit(x, y, epochs=3, verbose=0)
    assert model.evaluate(x, y, verbose=0)[0] < before


def test_load_model_names_what_the_run_has_instead(there: Finished) -> None:
    with pytest.raises(LoadError, match=r"was not saved as saved_model; it has h5, weights, json"):
        kexp.load_model(there.table.run_id, "saved_model")
    with pytest.raises(UnknownNameError, match=r"there is no format 'h55'; did you mean 'h5'"):
        kexp.load_model(there.table.run_id, "h55")
    with pytest.raises(UnknownNameError, match="there is no run 'ffffffffffffffffffffffffffffffff'"):
        kexp.load_model("f" * 32)


def damaged_copy(finished: Finished, tmp_path: Path) -> tuple[str, Path]:
    """The store and the digits run's artifacts once more; gives its URI and the artifacts' folder."""
    store = Path(shutil.copy(finished.folder / "mlflow.db", tmp_path))
    with sqlite3.connect(store) as database:
        (uri,) = database.execute(
            "SELECT artifact_uri FROM runs WHERE run_uuid = ?", (finished.digits.run_id,)
        ).fetchone()
        artifacts = tmp_path / "artifacts"
        original = Path(str(uri).removeprefix("file://"))
        shutil.copytree(original if original.is_absolute() else finished.folder / original, artifacts)
        database.execute(
            "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (artifacts.as_uri(), finished.digits.run_id)
        )
    database.close()
    return f"sqlite:///{store}", artifacts


def test_load_model_refuses_a_file_that_changed_with_both_digests(there: Finished, tmp_path: Path) -> None:
    uri, artifacts = damaged_copy(there, tmp_path)
    file = artifacts / "saved" / "model.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(LoadError, match=r"saved/model.h5 has changed since it was saved: .* sha256 \w{64}, got \w{64}"):
        kexp.load_model(there.digits.run_id, "h5", tracking_uri=uri)
    (artifacts / "saved" / "manifest.json").unlink()
    with pytest.raises(LoadError, match=r"saved/manifest\.json is not in the store"):
        kexp.load_model(there.digits.run_id, "keras", tracking_uri=uri)


def test_load_experiment_refuses_a_run_that_is_not_ours(there: Finished, tmp_path: Path) -> None:
    uri, artifacts = damaged_copy(there, tmp_path)
    run = stored.find(there.digits.run_id, tracking_uri=uri)
    (artifacts / "config.yaml").write_text("model: {name: mlp, hiden: [1]}\n")
    with pytest.raises(ConfigError, match=rf"run {run.view.run_id[:8]} \({run.view.name}\): .*must be given"):
        stored.load_experiment(run)
    (artifacts / "config.yaml").write_text("a: [\n")
    with pytest.raises(LoadError, match=r"config\.yaml cannot be read"):
        stored.load_experiment(run)
    (artifacts / "config.yaml").unlink()
    with pytest.raises(LoadError, match=r"has recorded no config\.yaml: it ended before, or is not a run of kexp"):
        stored.load_experiment(run)


def test_load_experiment_gives_the_experiment_that_ran(there: Finished) -> None:
    run = stored.find(there.table.run_id)
    assert stored.load_experiment(run).as_dict() == there.table.experiment.as_dict()


def test_load_experiment_reads_environment_variables_again(
    there: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, artifacts = damaged_copy(there, tmp_path)
    config = artifacts / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0", "seed: ${oc.decode:${oc.env:KEXP_TEST_SEED}}", 1))
    run = stored.find(there.digits.run_id, tracking_uri=uri)
    with pytest.raises(ConfigError, match="KEXP_TEST_SEED"):
        stored.load_experiment(run)
    monkeypatch.setenv("KEXP_TEST_SEED", "41")
    assert stored.load_experiment(run).seed == 41


def test_a_run_on_a_server_loads_without_trust_and_its_code_only_with(
    there: Finished, x: np.ndarray, tmp_path: Path, free_port: int
) -> None:
    uri, artifacts = damaged_copy(there, tmp_path)
    expected = there.digits.model.predict(x, verbose=0)
    with running_server(uri, free_port) as (address, _):
        model = kexp.load_model(there.digits.run_id, "h5", tracking_uri=address)
        np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
        with pytest.raises(LoadError, match="saved_model is loaded only from a trusted run"):
            kexp.load_model(there.digits.run_id, "saved_model", tracking_uri=address)
        trusted = kexp.load_model(there.digits.run_id, "saved_model", tracking_uri=address, trusted=True)
        np.testing.assert_allclose(trusted(x), expected, atol=1e-6)
        config = artifacts / "config.yaml"
        config.write_text(config.read_text().replace("name: relu", "name: os:system", 1))
        with pytest.raises(
            LoadError, match=r"its config names code, activation.name=os:system, .* \(--trust, trusted=True\)"
        ):
            kexp.load_model(there.digits.run_id, "h5", tracking_uri=address)


def test_find_looks_in_every_experiment_and_describe_in_what_the_run_noted(there: Finished) -> None:
    run = stored.find(there.digits.run_id[:9])
    assert run.trusted
    known = stored.describe(run, stored.load_experiment(run))
    noted = json.loads(run.text("data.json") or "")
    assert known.rows == {"train": 1150, "validation": 288, "test": 359} == noted["rows"]
    assert known.classes == tuple(str(digit) for digit in range(10))
    assert (known.feature_shape, known.task, known.encoding) == ((64,), "classification", None)
    assert stored.find("latest").view.run_id == there.table.run_id

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from finished_runs import Finished, Kexp


def test_export_writes_verified_files_of_the_runs_model(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import keras

    target = tmp_path / "exported"
    assert kexp_command("export", there.table.run_id, "--format", "keras", "--format", "saved_model", target) == 0
    assert capsys.readouterr().out.splitlines() == [str(target / "model.keras"), str(target / "saved_model")]
    x = np.random.default_rng().random((5, *there.table.model.input_shape[1:])).astype("float32")
    loaded = keras.saving.load_model(target / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), there.table.model.predict(x, verbose=0))
    assert "model.keras" in json.loads((target / "manifest.json").read_text())["files"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--format", "onyx"], "--format: there is no format 'onyx'; did you mean 'onnx'?"),
        ([], "the following arguments are required: --format"),
    ],
)
def test_export_refuses_in_one_sentence(
    there: Finished,
    kexp_command: Kexp,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
) -> None:
    assert kexp_command("export", "latest", *arguments, tmp_path / "x") == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_export_to_onnx_works_or_gives_the_install_command(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = kexp_command("export", there.digits.run_id, "--format", "onnx", tmp_path)
    if all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime", "tf2onnx")):
        assert code == 0
        assert (tmp_path / "model.onnx").stat().st_size > 0
    else:
        assert code == 2
        assert "pip install 'kexp[onnx]'" in capsys.readouterr().err


def test_export_refuses_a_model_that_is_predictions_alone(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = there.digits.run_id
    assert kexp_command("export", run, "--from", "saved_model", "--format", "h5", tmp_path / "x") == 1
    assert "saved its predictions alone" in capsys.readouterr().err

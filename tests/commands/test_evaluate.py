from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from finished_runs import Finished, Kexp
from sklearn.datasets import load_digits


@pytest.mark.parametrize("format", ["h5", "weights", "json", "keras", "tf_checkpoint"])
def test_evaluate_gives_the_runs_own_test_metrics_bit_for_bit(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    assert kexp_command("evaluate", there.digits.run_id, "--format", format, "--json") == 0
    metrics = json.loads(capsys.readouterr().out)
    assert {f"test_{key}": value for key, value in metrics.items()} == {
        key: value for key, value in there.digits.metrics.items() if key.startswith("test_")
    }


def test_evaluate_measures_a_format_of_predictions_alone(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kexp_command("evaluate", there.digits.run_id, "--format", "saved_model", "--json") == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["accuracy"] == pytest.approx(there.digits.metrics["test_accuracy"])
    assert metrics["loss"] == pytest.approx(there.digits.metrics["test_loss"], rel=1e-5)


def test_evaluate_tells_a_person_run_rows_and_that_metrics_are_as_recorded(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kexp_command("evaluate", there.digits.run_id[:12]) == 0
    told = capsys.readouterr()
    assert there.digits.run_id in told.out
    assert "digits, the test split, 359 rows" in told.out
    assert told.out.count("(as recorded)") == 2
    assert not told.err


def test_evaluate_numbers_the_classes_of_other_data_as_the_run_did(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    x, y = load_digits(return_X_y=True)
    some = np.isin(y, (3, 8))
    np.savez(tmp_path / "threes_and_eights.npz", x=x[some], y=y[some].astype(np.int64))
    path = tmp_path / "threes_and_eights.npz"
    assert kexp_command("evaluate", there.digits.run_id, "data=npz", f"data.path={path}", "--json") == 0
    measured = json.loads(capsys.readouterr().out)
    predicted = there.digits.model.predict(x[some].astype("float32"), verbose=0)
    assert measured["accuracy"] == pytest.approx(float((predicted.argmax(axis=1) == y[some]).mean()), abs=1e-6)
    likelihood = predicted[np.arange(len(predicted)), y[some]]
    assert measured["loss"] == pytest.approx(float(-np.log(np.clip(likelihood, 1e-7, 1 - 1e-7)).mean()), rel=1e-4)


def test_evaluate_encodes_another_table_as_the_run_encoded_its_own(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    reversed_rows = there.table_file.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join([reversed_rows[0], *reversed(reversed_rows[1:])]) + "\n")
    capsys.readouterr()
    assert kexp_command("evaluate", there.table.run_id, "--part", "all", "--json") == 0
    own = json.loads(capsys.readouterr().out)
    for data in ([], ["data=csv"]):  # the option that the run has keeps the run's parameters, the target's column say
        assert kexp_command("evaluate", there.table.run_id, *data, f"data.path={other}", "--json") == 0
        again = json.loads(capsys.readouterr().out)
        assert again == pytest.approx(own, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["zebra"], "RUN: there is no run 'zebra'"),
        (["latest", "model=cnn"], "model: only data, loss, metrics, trainer can be overridden here"),
        (["latest", "data.pth=x.csv"], "data.pth"),
        (["latest", "--format", "h6"], "format: there is no format 'h6'; did you mean 'h5'?"),
        (["latest", "--part", "tset"], "--part"),
        (["latest", "nonsense"], "'nonsense' is not an override"),
        ([], "the following arguments are required: RUN"),
    ],
)
def test_evaluate_refuses_in_one_sentence(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert kexp_command("evaluate", *arguments) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert len(told.err.splitlines()) == 1
    assert not told.out


def test_evaluate_refuses_data_of_another_shape(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "small.npz", x=np.zeros((4, 3)), y=np.array([0, 1, 0, 1]))
    path = tmp_path / "small.npz"
    assert kexp_command("evaluate", there.digits.run_id, "data=npz", f"data.path={path}") == 2
    assert "must have rows of shape (64,) as the run's data has, got (3,)" in capsys.readouterr().err


def test_a_command_without_a_store_says_so(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kexp_command("evaluate", "latest") == 1
    assert "there is no tracking store at sqlite:///" in capsys.readouterr().err
    assert not list(workplace.iterdir())

from __future__ import annotations

import csv
import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from finished_runs import Finished, Kexp
from sklearn.datasets import load_digits


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_predict_writes_class_names_and_probabilities_as_columns(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    x = load_digits().data[:50]
    np.savez(tmp_path / "in.npz", x=x)
    files = tmp_path / "in.npz", tmp_path / "out.csv"
    assert kexp_command("predict", there.digits.run_id, *files, "--batch-size", 16) == 0
    rows = rows_of(tmp_path / "out.csv")
    expected = there.digits.model.predict(x.astype("float32"), verbose=0)
    assert list(rows[0]) == ["class", *(f"p_{digit}" for digit in range(10))]
    assert [row["class"] for row in rows] == [str(index) for index in expected.argmax(axis=1)]
    got = np.array([[float(row[f"p_{digit}"]) for digit in range(10)] for row in rows])
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert capsys.readouterr().out.startswith("50 rows predicted by ")


def test_predict_writes_arrays_to_npz_from_any_format(there: Finished, kexp_command: Kexp, tmp_path: Path) -> None:
    x = load_digits().data[:20]
    np.savetxt(tmp_path / "in.csv", x, delimiter=",")  # no header: by order
    for format in ("h5", "saved_model"):
        out = tmp_path / f"{format}.npz"
        assert kexp_command("predict", there.digits.run_id, tmp_path / "in.csv", out, "--format", format) == 0
        with np.load(out) as arrays:
            expected = there.digits.model.predict(x.astype("float32"), verbose=0)
            np.testing.assert_allclose(arrays["probabilities"], expected, atol=1e-5)
            assert arrays["class"].tolist() == [str(index) for index in expected.argmax(axis=1)]
            assert arrays["classes"].tolist() == [str(digit) for digit in range(10)]


def test_predict_encodes_a_table_as_the_run_did_and_ignores_its_target(
    there: Finished, kexp_command: Kexp, tmp_path: Path
) -> None:
    lines = there.table_file.read_text().splitlines()
    without = [",".join(reversed(line.split(",")[:2])) for line in lines]  # columns in another order, no target
    (tmp_path / "bare.csv").write_text("\n".join(without) + "\n")
    (tmp_path / "packed.zip").write_bytes(gzip.compress((tmp_path / "bare.csv").read_bytes()))  # known by its content
    (tmp_path / "folder").mkdir()
    shutil.copy(tmp_path / "bare.csv", tmp_path / "folder" / "part.txt")
    assert kexp_command("predict", there.table.run_id, there.table_file, tmp_path / "a.csv") == 0
    assert kexp_command("predict", there.table.run_id, tmp_path / "bare.csv", tmp_path / "b.csv") == 0
    assert kexp_command("predict", there.table.run_id, tmp_path / "packed.zip", tmp_path / "c.csv") == 0
    assert kexp_command("predict", there.table.run_id, tmp_path / "folder", tmp_path / "d.csv") == 0
    assert len({(tmp_path / f"{name}.csv").read_bytes() for name in "abcd"}) == 1
    rows = rows_of(tmp_path / "a.csv")
    assert len(rows) == 60
    assert list(rows[0]) == ["class", "p_daisy", "p_rose"]
    assert all(abs(float(row["p_daisy"]) + float(row["p_rose"]) - 1) < 1e-5 for row in rows)


def test_predict_refuses_inputs_that_do_not_fit_and_leaves_no_output(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = there.digits.run_id
    (tmp_path / "narrow.csv").write_text("1,2,3\n4,5,6\n")
    (tmp_path / "table.csv").write_text("length,color\n1,red\n")
    np.savez(tmp_path / "nan.npz", x=np.full((3, 64), np.nan))
    np.savez(tmp_path / "two.npz", a=np.zeros((3, 64)), b=np.zeros((3, 64)))
    out = tmp_path / "out.csv"
    cases = [
        ([run, tmp_path / "narrow.csv", out], "must have 64 columns as the run's features, got 3"),
        (
            [there.table.run_id, tmp_path / "table.csv", out],
            "no column 'colour' in table.csv; did you mean 'color'?",
        ),
        ([run, tmp_path / "nan.npz", out], "must be finite, got NaN or infinity in row 1"),
        ([run, tmp_path / "two.npz", out], "--array: there is no array in two.npz 'x'"),
        ([run, tmp_path / "absent.npz", out], "INPUT"),
        ([run, tmp_path / "nan.npz", tmp_path / "no" / "out.csv"], "OUTPUT: there is no such folder"),
        ([run, tmp_path / "nan.npz", tmp_path / "out.xlsx"], "OUTPUT: must end in .npz or .csv"),
        ([run, tmp_path / "nan.npz", tmp_path / "nan.npz"], "must be another file than INPUT"),
    ]
    before = sorted(path.name for path in tmp_path.iterdir())
    for arguments, sentence in cases:
        assert kexp_command("predict", *arguments) == 2
        told = capsys.readouterr()
        assert sentence in told.err
        assert len(told.err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_predict_keeps_the_old_output_when_a_later_row_is_bad(
    there: Finished, kexp_command: Kexp, tmp_path: Path
) -> None:
    x = load_digits().data[:40].copy()
    x[37, 5] = np.inf
    np.savez(tmp_path / "in.npz", x=x)
    (tmp_path / "out.csv").write_text("old\n")
    run = there.digits.run_id
    assert kexp_command("predict", run, tmp_path / "in.npz", tmp_path / "out.csv", "--batch-size", 8) == 2
    assert (tmp_path / "out.csv").read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz", "out.csv"]

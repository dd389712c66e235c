from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kexp.cli import main

ROWS = "ort,große,标签\n" + "".join(
    f"{place},{number}.5,{number % 2}\n" for number, place in enumerate(["a", "b"] * 20)
)


def described(capsys: pytest.CaptureFixture[str], *overrides: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["describe", *overrides])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_describe_takes_text_that_hydra_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data (1).csv").write_text(ROWS, encoding="utf-8")
    code, said, errors = described(capsys, "data=csv", "data.path=my data (1).csv", "data.target=标签")
    assert (code, errors) == (0, "")
    assert "targets  标签: 2 classes: 0 20, 1 20" in said


def test_describe_says_what_is_wrong_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert described(capsys, "data=csv", "data.pth=x")[2].startswith(
        "kexp: data.pth: there is no parameter of data csv"
    )
    assert described(capsys, "data=irs") == (2, "", "kexp: data: there is no data 'irs'; did you mean 'iris'?\n")
    assert described(capsys, "data=[")[0] == 2


def test_describe_imports_neither_keras_nor_mlflow() -> None:
    code = """
import contextlib, sys
from kexp.cli import main
with contextlib.suppress(SystemExit):
    main(["describe", "data=iris"])
print([name for name in ("keras", "tensorflow", "jax", "mlflow") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("[]", "")

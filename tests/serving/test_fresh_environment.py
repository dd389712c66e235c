"""A model's requirements are enough: an environment made of them alone, by pip, serves it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from scoring import asked, scoring, wait_for
from served_kinds import Kind


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table", "images"])
def test_a_fresh_environment_of_the_requirements_serves_the_model(
    name: str, served: dict[str, Kind], tmp_path: Path
) -> None:
    kind = served[name]
    python = str(tmp_path / "venv" / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    wanted = Path(kind.model, "requirements.txt")
    assert all("==" in line for line in wanted.read_text().splitlines())
    assert "kexp" not in wanted.read_text()
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
    assert subprocess.run([python, "-c", "import kexp"], check=False, capture_output=True).returncode == 1
    with scoring(kind.model, python, tmp_path, {"PYTHONPATH": ""}) as (port, _):
        wait_for(port)
        status, answer = asked(port, Path(kind.model, "serving_input_example.json").read_text())
        assert status == 200
        if name == "table":
            expected = kind.answers[0].to_dict("records")  # all rows: another batch may change a last bit
            assert asked(port, kind.requests[0].to_csv(index=False), "text/csv") == (200, {"predictions": expected})
        assert set(answer["predictions"][0]) == set(json.loads(json.dumps(kind.answers[0].to_dict("records")))[0])

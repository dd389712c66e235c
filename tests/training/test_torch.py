"""`backend=torch`, an optional dependency: one command from the data to the MLflow model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kexp.tracking import StoreSettings, find_run, list_artifacts, metric_history


@pytest.mark.optional
def test_a_run_on_torch_is_whole_and_the_same_twice(workplace: Path) -> None:
    store = StoreSettings()
    histories = []
    for _ in range(2):
        command = [
            sys.executable,
            "-m",
            "kexp",
            "backend=torch",
            "trainer.epochs=2",
            "save.formats=[h5,weights,json,keras]",
        ]
        done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert "rows" not in done.stderr
        view = find_run(store, "latest")
        assert (view.status, view.params["backend"]) == ("FINISHED", "torch")
        assert len(view.model_ids) == 1
        assert {"saved/model.keras", "figures/confusion_matrix.png"} <= set(list_artifacts(store, view.run_id))
        histories.append([point.value for point in metric_history(store, view.run_id, "loss")])
    assert len(histories[0]) == 2
    assert histories[0] == histories[1]

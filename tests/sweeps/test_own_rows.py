"""What a module of one's own has, each as a trial of one sweep: trained, saved, measured again by a new process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kexp.sweeps.compare.results import read_sweep
from kexp.tracking import StoreSettings

TESTS = Path(__file__).parents[1]
# Name of the trial -> what it chooses, and its settings, in YAML.
ROWS = {
    "squared": ("loss: own_parts:squared", ""),
    "sharper": ("loss: own_parts:sharper", "loss: {power: 3}"),
    "by_index": ("loss: own_parts:by_index", ""),
    "soft": ("loss: own_parts:soft", ""),
    "hit": ("metrics: [own_parts:hit]", ""),
    "best_two": ("metrics: [own_parts:best_two]", ""),
    "wave": ("activation: own_parts:wave", ""),
    "small": ("", "model: {kernel_initializer: own_parts:small}"),
    "lasso": ("", "model: {kernel_regularizer: own_parts:lasso}"),
    "boxed": ("", "model: {kernel_constraint: own_parts:boxed}"),
    "halving": ("optimizer: sgd\n  - override /schedule: own_parts:halving", ""),
    "heavy_ball": ("optimizer: own_parts:heavy_ball", ""),
    "shrinking": ("callbacks: [own_parts:shrinking]", ""),
    "ready": ("model: own_models:ready", ""),
    "two_ways": ("model: own_models:two_ways", ""),
    "Residual": ("model: own_models:Residual", ""),
    "compiled": ("model: own_models:compiled", "model: {rate: 0.1}"),
    "tunable": ("model: own_models:tunable", "model: {units: 8}"),
}
# What a sweep tells while it runs; all else in its standard error is a library's.
_TOLD = re.compile(r"sweep |trial |\d+/\d+ trials|best ")
READ = """
import contextlib, io, json
import numpy as np
import kexp
from kexp.cli import main
from kexp.stored.runs import find

def command(*words):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            main(list(words))
        except SystemExit as end:
            assert not end.code, (words, said.getvalue())
    return said.getvalue()

np.savez("rows.npz", x=np.load("rows.npy"))
for run_id in json.load(open("runs.json")):
    run = find(run_id)
    measured = json.loads(command("evaluate", run_id, "--json"))
    recorded = {key[5:]: value for key, value in run.view.metrics.items() if key.startswith("test_")}
    assert recorded.keys() == measured.keys(), (run.view.name, recorded, measured)
    for key, value in recorded.items():
        np.testing.assert_allclose(measured[key], value, rtol=1e-4, atol=1e-6, err_msg=f"{run.view.name} {key}")
    command("predict", run_id, "rows.npz", "predicted.npz")
    expected = kexp.load_model(run_id).predict(np.load("rows.npy"), verbose=0)
    np.testing.assert_allclose(np.load("predicted.npz")["probabilities"], expected, rtol=1e-4, atol=1e-6)
    assert any(file.endswith("own_parts.py") or file.endswith("own_models.py") for file in run.files("code"))
    print(run.view.name)
"""


def _kexp(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "kexp", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stderr.splitlines() if not _TOLD.match(line)] == []
    return done


@pytest.mark.parametrize(
    ("launcher", "backend"),
    [
        ("fused", "jax"),
        pytest.param("serial", "tensorflow", marks=pytest.mark.slow),
        pytest.param("serial", "jax", marks=pytest.mark.slow),
        pytest.param("processes", "tensorflow", marks=pytest.mark.slow),
    ],
)
def test_what_a_module_has_trains_in_a_sweep_and_is_read_back_by_a_new_process(
    workplace: Path, launcher: str, backend: str
) -> None:
    import numpy as np

    for name in ("own_parts.py", "own_models.py"):
        shutil.copy(TESTS / name, workplace)
    presets = workplace / "conf" / "experiment"
    presets.mkdir(parents=True)
    for name, (chosen, settings) in ROWS.items():
        override = f"defaults:\n  - override /{chosen}\n" if chosen else ""
        (presets / f"{name}.yaml").write_text(f"# @package _global_\n{override}{settings}\n")
    common = ["data=iris", "trainer.epochs=2", f"backend={backend}", f"hydra/launcher={launcher}", "save.keep=all"]
    swept = _kexp("-m", "--config-dir", "conf", f"experiment={','.join(ROWS)}", *common, "sweep.name=rows")
    for told in ("own_parts:by_index takes class numbers", "own_parts:shrinking cannot be copied by its config"):
        assert swept.stdout.count(told) == 1
    runs = [trial.run_id for trial in read_sweep(StoreSettings(), "rows").trials]
    assert len(runs) == len(ROWS)
    np.save("rows.npy", np.random.default_rng().uniform(0, 7, size=(9, 4)).astype(np.float32))
    Path("runs.json").write_text(json.dumps(runs))
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", READ], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.split()) == len(ROWS)
    # The source is kept once, in the sweep's run, whatever process recorded the trials.
    assert len(list(workplace.glob("mlruns/*/*/artifacts/**/code/own_parts.py"))) == 1

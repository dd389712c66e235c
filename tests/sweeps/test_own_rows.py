"""What a module of one's own has, each as a trial of one sweep: trained, saved, measured again by a new process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import own_kind_rows as rows
import pytest
from omegaconf import OmegaConf

from kexp.sweeps.compare.results import read_sweep
from kexp.tracking import StoreSettings

TESTS = Path(__file__).parents[1]
# Name of the trial -> what it chooses; parts that have nothing to do with each other share one.
PARTS = {
    "squared": ["loss=own_parts:squared"],
    "sharper": ["loss=own_parts:sharper", "loss.power=3", "metrics=[own_parts:best_two]"],
    "by_index": ["loss=own_parts:by_index"],
    "soft": ["loss=own_parts:soft", "activation=own_parts:wave"],
    "hit": ["metrics=[own_parts:hit]"],
    "halving": [
        "optimizer=sgd",
        "schedule=own_parts:halving",
        "model.kernel_initializer=own_parts:small",
        "model.kernel_regularizer=own_parts:lasso",
        "model.kernel_constraint=own_parts:boxed",
    ],
    "made": [
        "optimizer=sgd",
        "schedule=own_parts:rising",
        "model.kernel_regularizer={name: own_parts:penalty, rate: 0.1}",
        "model.kernel_constraint=own_parts:clipped",
        "model.kernel_initializer={name: own_parts:drawn, scale: 0.2}",
    ],
    "heavy_ball": ["optimizer=own_parts:heavy_ball"],
    "shrinking": ["callbacks=[own_parts:shrinking]"],
    "ready": ["model=own_models:ready"],
    "two_ways": ["model=own_models:two_ways"],
    "Residual": ["model=own_models:Residual"],
    "compiled": ["model=own_models:compiled", "model.rate=0.1"],
    "computed": ["model=own_models:compiled_with_closures_of_what_they_computed", "model.gamma=1.5"],
    "tunable": ["model=own_models:tunable", "model.units=8"],
}
TOLD = ["own_parts:by_index takes class numbers", "own_parts:shrinking cannot be copied by its config"]
# What a sweep tells while it runs; all else in its standard error is a library's.
_TOLD = re.compile(r"sweep |trial |\d+/\d+ trials|best ")
READ = """
import contextlib, io, json
from pathlib import Path
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

rng = np.random.default_rng()
for run_id in json.load(open("runs.json")):
    run = find(run_id)
    measured = json.loads(command("evaluate", run_id, "--json"))
    recorded = {key[5:]: value for key, value in run.view.metrics.items() if key.startswith("test_")}
    assert recorded.keys() == measured.keys(), (run.view.name, recorded, measured)
    for key, value in recorded.items():
        np.testing.assert_allclose(measured[key], value, rtol=1e-4, atol=1e-6, err_msg=f"{run.view.name} {key}")
    model = kexp.load_model(run_id)
    shape = getattr(model, "input_shape", (None, 4))  # a model that is no graph is given rows of Iris
    rows = rng.uniform(0, 7, size=(9, *shape[1:])).astype(np.float32)
    np.savez("rows.npz", x=rows)
    command("predict", run_id, "rows.npz", "predicted.npz")
    predicted = np.load("predicted.npz")
    (given,) = (predicted[key] for key in ("probabilities", "scores", "prediction") if key in predicted)
    expected = model.predict(rows, verbose=0)
    given = np.reshape(given, (len(rows), -1))[:, -expected.shape[-1] :]  # a sigmoid's output is the second class'
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-6)
    assert any(Path(file).name.startswith("own_") for file in run.files("code")), run.view.name
    print(run.view.name)
"""


def _kexp(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "kexp", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stderr.splitlines() if not _TOLD.match(line)] == []
    return done


def _preset(words: list[str]) -> str:
    """The words of a command line as a file of `experiment/`."""
    chosen = [word for word in words if "." not in word.partition("=")[0]]
    settings = OmegaConf.from_dotlist([word for word in words if word not in chosen])
    overrides = "".join(f"  - override /{word.replace('=', ': ', 1)}\n" for word in chosen)
    return f"# @package _global_\ndefaults:\n{overrides}{OmegaConf.to_yaml(settings) if len(settings) else ''}"


def _kinds(names: Iterable[str]) -> dict[str, list[str]]:
    return {name.replace(" ", "_"): rows.overrides(name) for name in names}


_FEW = tuple(rows.HABITS)


@pytest.mark.parametrize(
    ("launcher", "backend", "kinds"),
    [
        ("fused", "jax", _FEW),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("serial", "tensorflow", _FEW),
                ("serial", "jax", _FEW),
                ("processes", "tensorflow", _FEW),
                ("fused", "jax", [*rows.QUICK, *rows.HABITS, *rows.SLOW]),
                ("serial", "tensorflow", [*rows.QUICK, *rows.HABITS, *rows.SLOW, *rows.TENSORFLOW]),
            )
        ),
    ],
    ids=[
        "lanes",
        "serial on TensorFlow",
        "serial on JAX",
        "processes",
        "all kinds as lanes",
        "all kinds on TensorFlow",
    ],
)
def test_what_a_module_has_trains_in_a_sweep_and_is_read_back_by_a_new_process(
    workplace: Path, launcher: str, backend: str, kinds: Iterable[str]
) -> None:
    for file in TESTS.glob("own_*.py"):
        shutil.copy(file, workplace)
    presets = workplace / "conf" / "experiment"
    presets.mkdir(parents=True)
    with_parts = kinds is _FEW
    trials = {**(PARTS if with_parts else {}), **_kinds(kinds)}
    for name, words in trials.items():
        data = [] if any(word.startswith("data=") for word in words) else ["data=iris"]
        (presets / f"{name}.yaml").write_text(_preset([*data, *words]))
    common = ["trainer.epochs=2", f"backend={backend}", f"hydra/launcher={launcher}", "save.keep=all"]
    swept = _kexp("-m", "--config-dir", "conf", f"experiment={','.join(trials)}", *common, "sweep.name=rows")
    assert [swept.stdout.count(told) for told in TOLD if with_parts] == [1, 1] * with_parts
    runs = [trial.run_id for trial in read_sweep(StoreSettings(), "rows").trials]
    assert len(runs) == len(trials)
    Path("runs.json").write_text(json.dumps(runs))
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}  # the runs say it
    done = subprocess.run([sys.executable, "-c", READ], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.split()) == len(trials)
    # The source is kept once, in the sweep's run, whatever process recorded the trials.
    module = "own_parts.py" if with_parts else "own_kinds.py"
    assert len(list(workplace.glob(f"mlruns/*/*/artifacts/**/code/{module}"))) == 1

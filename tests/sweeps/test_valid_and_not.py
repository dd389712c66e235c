"""A sweep's valid trials run; the others are told beforehand, and are no reason not to run the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from finished_runs import Kexp

from kexp.tracking import StoreSettings, search

SMALL = [
    "data=random",
    "data.rows=40",
    "model=mlp",
    "trainer.epochs=1",
    "trainer.batch_size=16",
    "save=none",
    "tracking.figures=false",
    "hydra/launcher=serial",
]


def test_plan_counts_what_is_done_and_says_why_trials_are_invalid(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = [*SMALL, "model.hidden=[4],[8],[-1]", "seed=1,2", "optimizer.learning_rate=0.1"]
    assert kexp_command("plan", "-m", *swept, "--no-probe", "--json") == 0
    assert not (workplace / "mlflow.db").exists()  # planning makes no store
    capsys.readouterr()
    assert kexp_command("-m", *SMALL, "model.hidden=[4]", "seed=1,2", "optimizer.learning_rate=0.1") == 0
    before = {view.run_id for view in search(StoreSettings())}
    capsys.readouterr()
    assert kexp_command("plan", "-m", *swept, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {key: found[key] for key in ("trials", "done", "invalid", "to_run", "launcher", "structures")} == {
        "trials": 6,
        "done": 2,
        "invalid": 2,
        "to_run": 2,
        "launcher": "serial",
        "structures": 1,
    }
    (why,) = found["reasons"]
    assert "model.hidden" in why["reason"] and "-1" in why["reason"]
    assert sorted(why["trials"]) == ["model.hidden=[-1] seed=1", "model.hidden=[-1] seed=2"]
    assert found["seconds"] > 0 and found["memory_mb"] > 50
    assert {view.run_id for view in search(StoreSettings())} == before
    assert kexp_command("plan", "-m", *swept, "--no-probe") == 0
    printed = capsys.readouterr().out
    assert "trials     6: 2 to run, 2 done, 2 invalid" in printed
    assert f"invalid    {why['reason']}" in printed


def test_valid_trials_of_a_mixed_sweep_run_and_the_others_are_listed(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kexp_command("-m", *SMALL, "trainer.batch_size=8,16,-2") == 1
    printed = capsys.readouterr()
    assert "3 trials, 1 invalid, 2 to run" in printed.err
    assert "trainer.batch_size" in printed.err.split("to run", 1)[1].splitlines()[1]
    assert "1 of 3 trials did not finish" in printed.out
    trials = [view for view in search(StoreSettings()) if view.parent_run_id is not None]
    assert sorted(view.params["trainer.batch_size"] for view in trials) == ["16", "8"]
    assert {view.status for view in trials} == {"FINISHED"}


def test_sweep_without_a_valid_trial_is_refused_before_anything_is_recorded(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kexp_command("-m", *SMALL, "trainer.batch_size=-1,-2") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("kexp: no trial of the sweep is valid: trainer.batch_size")
    assert "got -1" in printed.err and "got -2" in printed.err
    assert kexp_command("plan", "-m", *SMALL, "trainer.batch_size=-1,-2") == 2
    assert list(workplace.iterdir()) == []

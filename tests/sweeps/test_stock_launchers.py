"""Hydra's own launchers and those of its plugins run trials of kexp as they run any job."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from finished_runs import Kexp

from kexp.tracking import StoreSettings, metric_history, search

SMALL = [
    "data=random",
    "data.rows=40",
    "trainer.epochs=2",
    "trainer.batch_size=16",
    "save=none",
    "tracking.figures=false",
]


@pytest.mark.parametrize("launcher", [["basic"], ["joblib", "hydra.launcher.n_jobs=2"]], ids=lambda each: each[0])
def test_stock_launcher_runs_trials_of_one_sweep_and_only_what_is_missing(
    launcher: list[str], workplace: Path, kexp_command: Kexp, capfd: pytest.CaptureFixture[str]
) -> None:
    how = [f"hydra/launcher={launcher[0]}", *launcher[1:]]
    assert kexp_command("-m", *SMALL, "model=linear", "seed=1,2", *how, "sweep.name=first") == 0
    capfd.readouterr()
    assert kexp_command("-m", *SMALL, "model=linear", "seed=1,2,3", *how, "sweep.name=second") == 0
    assert "3 trials, 2 done already, 1 to run" in capfd.readouterr().err
    everything = list(search(StoreSettings()))
    assert {view.status for view in everything} == {"FINISHED"}
    names = {view.run_id: view.tags["kexp.sweep.name"] for view in everything if view.parent_run_id is None}
    trials = [view for view in everything if view.parent_run_id is not None]
    assert Counter(names[str(view.parent_run_id)] for view in trials) == {"first": 2, "second": 1}
    assert sorted(view.params["seed"] for view in trials) == ["1", "2", "3"]
    for view in trials:
        assert [point.step for point in metric_history(StoreSettings(), view.run_id, "val_loss")] == [1, 2]
    assert len((workplace / "multirun" / "second" / "trials.csv").read_text().splitlines()) == 1 + 3


def test_what_ends_badly_on_a_stock_launcher_is_told_and_tried_again(
    workplace: Path, kexp_command: Kexp, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("BAD_ENDS_ONCE", str(workplace))
    swept = [*SMALL, "model=bad_ends:model", "callbacks=[bad_ends:at]", "model.end=a,in_the_middle,b"]
    assert kexp_command("-m", *swept, "hydra/launcher=basic") == 1
    printed = capfd.readouterr()
    assert "1 of 3 trials did not finish" in printed.out
    assert "RuntimeError: in the middle" in printed.out
    assert kexp_command("-m", *swept, "hydra/launcher=basic") == 0
    everything = list(search(StoreSettings()))
    assert Counter(view.status for view in everything) == {"FINISHED": 4}

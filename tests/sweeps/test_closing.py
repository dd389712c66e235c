"""A sweep from Python, and its closing lines: choices over their seeds, as `kexp compare` ranks them."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import kexp
from kexp.commands.compare import main
from kexp.config import compose, plain
from kexp.schema import check
from kexp.sweeps.api import SweepResult
from kexp.sweeps.execution.closing import ranking
from kexp.sweeps.execution.session import Session
from kexp.sweeps.sweeper_steps import SweepFailedError, finish
from kexp.sweeps.trials import Outcome, Trial
from kexp.system.disk import free_space_hint

SEEDS = ["data=iris", "optimizer=sgd,adam", "seed=1,2", "trainer.epochs=1"]


@dataclass(frozen=True)
class Done:
    """A sweep that was run, what it printed, and its folder."""

    result: SweepResult
    printed: str
    folder: Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with redirect_stdout(io.StringIO()) as out:
            result = kexp.sweep(SEEDS)
        yield Done(result, out.getvalue(), folder)


def test_overrides_are_those_of_the_command_line(done: Done) -> None:
    assert done.result.finished
    told = [each for trial in done.result.trials for each in trial.overrides if each.startswith(("opt", "seed"))]
    assert told == [
        each for optimizer in ("sgd", "adam") for seed in (1, 2) for each in (f"optimizer={optimizer}", f"seed={seed}")
    ]


def test_a_mapping_and_overrides_mean_the_same_sweep(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way it is written, the store has every trial of it already."""
    monkeypatch.chdir(done.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    axes = {"optimizer": ["sgd", "adam"], "seed": [1, 2]}
    again = kexp.sweep(axes, ["data=iris", "trainer.epochs=1", "trainer.verbose=0"])
    assert [trial.state for trial in again.trials] == ["DONE"] * 4
    assert [trial.run_id for trial in again.trials] == [trial.run_id for trial in done.result.trials]
    assert again.best is not None and done.result.best is not None
    assert again.best.run_id == done.result.best.run_id


def test_a_trial_of_another_sweep_is_of_the_choice_that_it_was_run_as(
    done: Done, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    left_open = ["data=iris", "trainer.epochs=1", "trainer.verbose=0"]  # adam is what `auto` stands for
    wider = kexp.sweep({"seed": [1, 2, 3]}, left_open)
    assert [trial.state for trial in wider.trials] == ["DONE", "DONE", "FINISHED"]
    assert wider.comparison is not None
    assert [row.summary.n for row in wider.comparison.rows] == [3]


def test_a_result_has_its_trials_as_a_frame(done: Done) -> None:
    frame = done.result.frame()
    assert list(frame["trial"]) == [0, 1, 2, 3]
    assert list(frame["optimizer.name"]) == ["sgd", "sgd", "adam", "adam"]
    assert list(frame["seed"]) == [1, 2, 1, 2]
    assert list(frame["val_loss"]) == [trial.metrics["val_loss"] for trial in done.result.trials]
    assert list(frame["run_id"]) == [trial.run_id for trial in done.result.trials]


def test_the_best_trial_is_of_the_best_choice(done: Done) -> None:
    frame, best = done.result.frame(), done.result.best
    assert best is not None
    winner = frame.groupby("optimizer.name")["val_loss"].mean().idxmin()
    assert best.metrics["val_loss"] == frame[frame["optimizer.name"] == winner]["val_loss"].min()
    assert best.run_id in set(frame["run_id"])


def test_the_closing_lines_are_those_of_compare(
    done: Done, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    main([done.result.name])
    compared = capsys.readouterr().out
    assert done.printed.startswith(compared)
    assert re.findall(r"group \d: .* lanes; (.*)", done.printed) == ["optimizer.name=sgd", "optimizer.name=adam"]
    assert "verdict" in compared and "optimizer=" in compared.split("Best: ")[1]
    assert done.result.comparison is not None
    assert [row.summary.n for row in done.result.comparison.rows] == [2, 2]


def _session(values: dict[str, list[float]], folder: Path, *settings: str) -> Session:
    """A sweep that nothing is recorded of, and that came out so: optimizer -> the losses of its seeds."""
    config = plain(compose(["tracking=none", *settings]))
    trials = []
    for name, losses in values.items():
        for seed, loss in enumerate(losses):
            own = {**config, "optimizer": {**config["optimizer"], "name": name}, "seed": seed}
            own["data"] = {**own["data"], "split_seed": seed}
            overrides = (f"optimizer={name}", f"seed={seed}")
            trials.append(Trial(len(trials), overrides, own, state="FINISHED", metrics={"val_loss": loss}))
    session = Session(trials, check(config), arguments=[], store=None, folder=folder, name="made")
    session.choose_objective_from({"val_loss": 0.0})
    return session


def _ranking(session: Session) -> list[str]:
    return ranking(session, session.comparison)


def test_the_luckiest_seed_is_not_on_top(tmp_path: Path) -> None:
    lines = _ranking(
        _session({"sgd": [0.01, 0.9, 0.8], "adam": [0.30, 0.31, 0.32], "nadam": [0.5, 0.51, 0.53]}, tmp_path)
    )
    ranked = [line.split()[:2] for line in lines if line.split()[:1] and line.split()[0].isdigit()]
    assert ranked == [["1", "adam"], ["2", "nadam"], ["3", "sgd"]]
    half = stats.t.ppf(0.975, df=2) * np.std([0.30, 0.31, 0.32], ddof=1) / math.sqrt(3)
    assert f"0.31 ± {half:.2g} (95% interval of 3 seeds)" in " ".join(lines)
    assert all(len(line) <= 100 for line in lines if not line.startswith("Best"))


def test_one_seed_ranks_the_trials_without_verdicts(tmp_path: Path) -> None:
    lines = _ranking(_session({"sgd": [0.5], "adam": [0.25], "nadam": [0.125]}, tmp_path))
    assert [line.split() for line in lines] == [
        ["rank", "trial", "val_loss", "overrides"],
        ["1", "2", "0.125", "optimizer=nadam"],
        ["2", "1", "0.25", "optimizer=adam"],
        ["3", "0", "0.5", "optimizer=sgd"],
    ]


def test_a_sweep_that_measured_nothing_has_no_ranking(tmp_path: Path) -> None:
    session = _session({"sgd": [0.5]}, tmp_path)
    session.trials[0].state = "FAILED"
    session.trials[0].metrics = {}
    session.objective = None
    assert _ranking(session) == []
    result = SweepResult(session.trials, session.comparison, "", session.name, tmp_path)
    assert result.best is None
    assert list(result.frame()["state"]) == ["FAILED"]


def test_a_full_disk_is_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = _session({"sgd": [0.5, 0.6]}, tmp_path)
    session.trials[0].state = "FAILED"
    full = "the disk is full: 28.7 kB are free in multirun/made"
    session.notices += [
        f"{full}; make room, and continue with: kexp resume made",
        "The disk is full: 41.0 kB are free in here; 3 of the sweep's trials wait in multirun/made; make room",
        f"there is no report: {full}",
        "the model of trial 1 is not saved: it is damaged",
    ]
    with pytest.raises(SweepFailedError) as failed:
        finish(session)
    assert str(failed.value) == f"{full}; 1 of 2 trials did not finish; make room, and type the command again"
    assert free_space_hint(failed.value) == ""
    assert capsys.readouterr().err == "kexp: the model of trial 1 is not saved: it is damaged\n"


@pytest.mark.parametrize(
    ("settings", "failure", "reason"),
    [
        ([], "No space left on device", "ended by a full disk"),
        (["sweep.fail_fast=true"], "it is damaged", "ended by sweep.fail_fast"),
        (["sweep.fail_fast=true"], "", "the sweep was interrupted"),
    ],
)
def test_a_trial_that_ends_with_the_sweep_names_the_cause(
    settings: list[str], failure: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Launcher:
        """Its first trial fails while the second one trains; without a failure, Ctrl-C is pressed."""

        def run_tasks(self, tasks: Any, events: Any) -> None:
            events.on_start(0)
            events.on_start(1)
            if not failure:
                raise KeyboardInterrupt
            assert not events.on_end(Outcome(0, "FAILED", failure))

    session = _session({"sgd": [0.5, 0.6]}, tmp_path, *settings)
    for trial in session.trials:
        trial.state, trial.fingerprint = "WAITING", str(trial.number)
    with nullcontext() if failure else pytest.raises(KeyboardInterrupt), session.running():
        session.run(Launcher(), session.trials)
    assert (session.trials[1].state, session.trials[1].reason) == ("KILLED", reason)

"""Searches on a real store and a real study; the trials' metrics are a formula, so that many of them take no time."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from searches import SPACE, FormulaLauncher, accuracy, search, shown

from kexp.errors import ConfigError, UnknownNameError
from kexp.sweeps.search.storage import open_storage
from kexp.sweeps.sweeper_steps import SweepFailedError
from kexp.tracking import StoreSettings, prepare_store
from kexp.tracking import search as runs

pytestmark = pytest.mark.usefixtures("store")

LR = "optimizer.learning_rate=tag(log, interval(1e-4,1))"


def value(session: Any) -> float:
    return max(trial.metrics["val_accuracy"] for trial in session.trials)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to make its tables."""
    file: Path = tmp_path_factory.mktemp("store") / "mlflow.db"
    prepare_store(StoreSettings(f"sqlite:///{file}"))
    return file


@pytest.fixture
def store(workplace: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, workplace)


@pytest.fixture
def study() -> Any:
    """The study of the only sweep."""

    def load() -> optuna.Study:
        (file,) = Path("multirun").glob("*/study.log")
        storage = open_storage(str(file), file.parent)
        (name,) = optuna.get_all_study_names(storage)
        return optuna.load_study(study_name=name, storage=storage)

    return load


def test_search_finds_better_trials_than_it_began_with(study: Any) -> None:
    session = search(*SPACE, "hydra.sweeper.n_trials=30", launcher=FormulaLauncher())
    assert len(session.trials) == 30
    first = max(trial.metrics["val_accuracy"] for trial in session.trials[:10])
    assert value(session) > max(first, 0.87)  # 0.95 * 15/16 is the most that four epochs of the formula give
    assert study().best_value == value(session)
    assert all(
        ("optimizer=sgd" in trial.overrides) == any("momentum" in o for o in trial.overrides)
        for trial in session.trials
    )


def test_search_prints_nothing_of_optuna(capfd: pytest.CaptureFixture[str]) -> None:
    search(*SPACE, "hydra.sweeper.n_trials=3", "trainer.verbose=1", launcher=FormulaLauncher())
    told = capfd.readouterr()
    assert "Warning" not in told.err
    assert "[I " not in told.err + told.out
    assert "3 trials, chosen by tpe to maximize val_accuracy" in told.err


@pytest.mark.parametrize("sampler", ["{name: tpe, n_startup_trials: 3}", "cmaes"])
def test_search_interrupted_and_resumed_suggests_what_it_would_have(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*SPACE, f"hydra.sweeper.sampler={sampler}", "hydra.sweeper.seed=5"]
    whole = search(*arguments, "hydra.sweeper.n_trials=8", launcher=FormulaLauncher())
    (tmp_path / "again").mkdir()
    monkeypatch.chdir(tmp_path / "again")
    with pytest.raises(KeyboardInterrupt):
        search(*arguments, "hydra.sweeper.n_trials=7", launcher=FormulaLauncher(interrupt_after=5))
    launcher = FormulaLauncher()
    resumed = search(*arguments, "hydra.sweeper.n_trials=8", launcher=launcher)
    assert len(launcher.started) == 3
    assert shown(resumed) == shown(whole)


def test_search_repeats_what_was_running_when_it_was_interrupted(study: Any) -> None:
    arguments = [*SPACE, "hydra.sweeper.n_trials=8"]
    first = FormulaLauncher(width=3, interrupt_after=2)
    with pytest.raises(KeyboardInterrupt):
        search(*arguments, launcher=first)
    second = FormulaLauncher(width=3)
    session = search(*arguments, launcher=second)
    assert set(first.started[2:]) <= set(second.started)
    assert sorted(trial.number for trial in session.trials) == list(range(8))
    assert not [trial for trial in study().trials if trial.state == optuna.trial.TrialState.RUNNING]
    done = {trial.overrides for trial in session.trials}
    assert done == {*first.started, *second.started}


def test_search_asks_when_a_worker_is_free_and_not_before() -> None:
    launcher = FormulaLauncher(width=4)
    session = search(*SPACE, "hydra.sweeper.n_trials=9", launcher=launcher)
    assert launcher.most_at_once == 4
    assert len(set(shown(session))) == 9  # those that run at once are not alike


def test_search_counts_trials_over_all_resumes() -> None:
    arguments = [*SPACE, "sweep.name=mine"]
    search(*arguments, "hydra.sweeper.n_trials=5", launcher=FormulaLauncher())
    launcher = FormulaLauncher()
    assert len(search(*arguments, "hydra.sweeper.n_trials=5", launcher=launcher).trials) == 5
    assert launcher.started == []
    search(*arguments, "hydra.sweeper.n_trials=7", launcher=launcher)
    assert len(launcher.started) == 2


def test_search_does_not_repeat_what_another_sweep_has_run() -> None:
    arguments = ["optimizer=adam", "optimizer.learning_rate=0.1,0.01,0.001", "hydra.sweeper.n_trials=12"]
    launcher = FormulaLauncher()
    session = search(*arguments, launcher=launcher)
    assert len(session.trials) == 12
    assert len(launcher.started) == len(set(launcher.started)) == 3
    again = FormulaLauncher()
    search(*arguments, "sweep.name=other", launcher=again)
    assert again.started == []


def test_grid_goes_through_all_points_once_in_order_over_resumes() -> None:
    arguments = [
        "optimizer=sgd,adam",
        "optimizer.momentum=0.0,0.5,0.9",
        "optimizer.learning_rate=0.1,0.01",
        "hydra.sweeper.sampler=grid",
    ]
    with pytest.raises(KeyboardInterrupt):
        search(*arguments, launcher=FormulaLauncher(interrupt_after=3))
    session = search(*arguments, launcher=FormulaLauncher())
    expected = [
        (f"optimizer={name}", f"optimizer.learning_rate={rate}", *momentum)
        for name, momenta in (("sgd", ["0.0", "0.5", "0.9"]), ("adam", [None]))
        for momentum in [(f"optimizer.momentum={each}",) if each else () for each in momenta]
        for rate in ("0.1", "0.01")
    ]
    assert {frozenset(each) for each in shown(session)} == {frozenset(each) for each in expected}
    assert len(session.trials) == 8


@pytest.mark.parametrize("pruner", ["median", "successive_halving", "hyperband"])
def test_pruner_ends_bad_trials_early_and_says_so_in_mlflow(pruner: str, study: Any) -> None:
    arguments = [*SPACE, "hydra.sweeper.n_trials=16", "trainer.epochs=9", f"hydra.sweeper.pruner={pruner}"]
    session = search(*arguments, launcher=FormulaLauncher())
    pruned = [trial for trial in session.trials if trial.state == "PRUNED"]
    assert pruned
    assert all(trial.epoch < 9 and trial.reason.startswith(f"pruned by {pruner}") for trial in pruned)
    states = [trial.state.name for trial in study().trials]
    assert states.count("PRUNED") == len(pruned)
    views = {view.run_id: view for view in runs(StoreSettings(), parent_run_id=session.run_id)}
    for trial in pruned:
        assert views[trial.run_id].status == "FINISHED"
        assert views[trial.run_id].tags["kexp.state"] == "PRUNED"


def test_seeds_are_run_for_each_suggestion_and_judged_by_their_mean(study: Any) -> None:
    def formula(config: Any) -> float:
        return accuracy(config) + (0.01 if config["seed"] == 2 else 0.0)

    session = search(
        "optimizer=adam", LR, "hydra.sweeper.n_trials=3", "sweep.seeds=3", launcher=FormulaLauncher(formula)
    )
    assert len(session.trials) == 9
    for place, trial in enumerate(study().trials):
        values = [each.metrics["val_accuracy"] for each in session.trials[3 * place : 3 * place + 3]]
        assert trial.value == pytest.approx(sum(values) / 3)


def test_wilcoxon_spares_the_seeds_of_a_worse_suggestion() -> None:
    session = search(
        "optimizer=adam",
        "optimizer.learning_rate=0.01,0.3,0.5,0.7",
        "hydra.sweeper.sampler=grid",
        "hydra.sweeper.pruner=wilcoxon",
        "sweep.seeds=8",
        launcher=FormulaLauncher(lambda config: accuracy(config) + 1e-3 * config["seed"]),
    )
    ran: dict[str, int] = {}
    for trial in session.trials:
        rate = str(trial.config["optimizer"]["learning_rate"])
        ran[rate] = ran.get(rate, 0) + 1
    assert ran["0.01"] == 8
    assert all(2 <= ran[rate] < 8 for rate in ("0.3", "0.5", "0.7"))


def test_search_of_two_objectives_ends_in_a_front(capsys: pytest.CaptureFixture[str], study: Any) -> None:
    search(
        "model=mlp",
        "model.dropout=interval(0,0.5)",
        LR,
        "hydra.sweeper.sampler=nsga2",
        "hydra.sweeper.n_trials=12",
        "sweep.objective=[val_accuracy,val_loss]",
        "trainer.verbose=1",
        launcher=FormulaLauncher(),
    )
    directions = [each.name for each in study().directions]
    assert directions == ["MAXIMIZE", "MINIMIZE"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("Pareto front")
    assert len(lines[1 : lines.index("")]) == len(study().best_trials)
    [page] = Path("multirun").glob("*/report.html")
    assert "<h2>Pareto front</h2>" in page.read_text()


def test_direction_can_be_given() -> None:
    session = search(LR, "sweep.direction=minimize", "hydra.sweeper.n_trials=2", launcher=FormulaLauncher())
    assert session.objective is not None
    assert session.objective.direction == "minimize"


def test_search_goes_on_after_a_trial_that_failed_and_tries_it_again_on_resume() -> None:
    arguments = [*SPACE, "hydra.sweeper.n_trials=5"]
    with pytest.raises(SweepFailedError, match="1 of 5"):
        search(*arguments, launcher=FormulaLauncher(die_at=2))
    launcher = FormulaLauncher()
    session = search(*arguments, launcher=launcher)
    assert len(launcher.started) == 1
    assert [trial.number for trial in session.trials if trial.state == "FINISHED"] == [2]


def test_journal_that_was_torn_by_a_kill_goes_on_from_its_last_whole_line(study: Any) -> None:
    arguments = [*SPACE, "sweep.name=torn"]
    search(*arguments, "hydra.sweeper.n_trials=2", launcher=FormulaLauncher())
    journal = Path("multirun/torn/study.log")
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"')
    Path(f"{journal}.lock").symlink_to(journal)
    session = search(*arguments, "hydra.sweeper.n_trials=3", launcher=FormulaLauncher())
    assert [trial.state for trial in session.trials] == ["DONE", "DONE", "FINISHED"]
    assert len(study().trials) == 3


@pytest.mark.parametrize("storage", ["studies/all.log", "sqlite:///all.sqlite"])
def test_study_is_kept_where_it_is_told(storage: str) -> None:
    arguments = [*SPACE, f"hydra.sweeper.storage={storage}", "sweep.name=kept"]
    search(*arguments, "hydra.sweeper.n_trials=2", launcher=FormulaLauncher())
    launcher = FormulaLauncher()
    search(*arguments, "hydra.sweeper.n_trials=3", launcher=launcher)
    assert len(launcher.started) == 1
    assert Path(storage.removeprefix("sqlite:///")).is_file()


def test_report_has_the_searchs_figures_and_the_run_what_was_found() -> None:
    session = search(
        *SPACE,
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.pruner=median",
        "tracking.figures=true",
        launcher=FormulaLauncher(),
    )
    page = (session.folder / "report.html").read_text()
    for figure in ("parallel", "curves", "history"):
        assert f'<div class="figure" id="{figure}"' in page
    assert page.count("<h2>Parameter importance</h2>") == 1
    assert "http" not in page
    from kexp.tracking import fetch_artifact

    file = fetch_artifact(StoreSettings(), session.run_id, "sweep/study.json", Path())
    assert json.loads(file.read_text())["best"][0]["values"]["val_accuracy"] == value(session)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([*SPACE], "hydra.sweeper.n_trials: must be given"),
        ([*SPACE, "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials: must be a whole number of at least 1, got 0"),
        ([LR, "hydra.sweeper.sampler=grid"], "the grid sampler cannot list the values of an interval"),
        ([LR, "hydra.sweeper.sampler=tpa", "hydra.sweeper.n_trials=1"], "no sampler 'tpa'; did you mean 'tpe'?"),
        ([LR, "hydra.sweeper.pruner=medan", "hydra.sweeper.n_trials=1"], "did you mean 'median'?"),
        ([LR, "hydra.sweeper.pruner=wilcoxon", "hydra.sweeper.n_trials=1"], "sweep.seeds=8"),
        ([LR, "sweep.objective=val_acuracy", "hydra.sweeper.n_trials=1"], "did you mean 'val_accuracy'?"),
        ([LR, "sweep.objective=[val_loss,val_los]", "hydra.sweeper.n_trials=1"], "there is no metric 'val_los'"),
        ([LR, "hydra.sweeper.storage=study.txt", "hydra.sweeper.n_trials=1"], "hydra.sweeper.storage: must be"),
        ([LR, "sweep.objective=test_loss", "hydra.sweeper.pruner=median", "hydra.sweeper.n_trials=1"], "measured once"),
        (["hydra.sweeper.n_trials=1"], "no axis to search over"),
        (["optimizer=sgd", "optimizer.momentum=interval(2,3)", "hydra.sweeper.n_trials=1"], "no trial of the search"),
    ],
)  # fmt: skip
def test_search_refuses(arguments: list[str], sentence: str) -> None:
    launcher = FormulaLauncher()
    with pytest.raises(ConfigError) as caught:
        search(*arguments, launcher=launcher)
    assert sentence in str(caught.value)
    assert launcher.started == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["optimizer.learning_rate=interval(0.1,1)"], "interval(0.1,1.0)"),
        ([LR, "optimizer=sgd,adam"], "started with no optimizer, not optimizer=sgd,adam"),
        ([LR, "trainer.epochs=5"], "started with settings"),
        ([LR, "sweep.objective=val_loss"], "started with objective maximize val_accuracy, not minimize val_loss"),
    ],
)
def test_study_whose_space_changed_is_refused_before_there_is_a_run(change: list[str], sentence: str) -> None:
    search(LR, "sweep.name=same", "hydra.sweeper.n_trials=1", launcher=FormulaLauncher())
    with pytest.raises(ConfigError, match=r"give another sweep\.name") as caught:
        search(*change, "sweep.name=same", "hydra.sweeper.n_trials=2", launcher=FormulaLauncher())
    assert sentence in str(caught.value)
    assert len([view for view in runs(StoreSettings()) if "kexp.sweep.name" in view.tags]) == 1


def test_objective_that_callbacks_may_measure_is_missed_once_a_trial_ends() -> None:
    with pytest.raises(UnknownNameError, match="there is no metric 'val_speed'"):
        search(
            LR,
            "callbacks=[terminate_on_nan]",
            "sweep.objective=val_speed",
            "sweep.direction=maximize",
            "hydra.sweeper.n_trials=2",
            launcher=FormulaLauncher(),
        )


def test_search_trains_real_models_and_prunes_them() -> None:
    session = search(
        "optimizer=sgd",
        "optimizer.learning_rate=0.5,1e-6",
        "hydra.sweeper.sampler=grid",
        "hydra.sweeper.pruner={name: threshold, lower: 0.5}",
        "hydra/launcher=serial",
        "trainer.epochs=3",
    )
    good, bad = session.trials
    assert (good.state, bad.state, bad.epoch) == ("FINISHED", "PRUNED", 1)
    views = {view.run_id: view for view in runs(StoreSettings(), parent_run_id=session.run_id)}
    assert (views[bad.run_id].status, views[bad.run_id].tags["kexp.state"]) == ("FINISHED", "PRUNED")


def test_optuna_is_missed_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'kexp\[optuna\]'"):
        search(*SPACE, "hydra.sweeper.n_trials=1", launcher=FormulaLauncher())


def test_pruned_trials_are_not_ranked(capsys: pytest.CaptureFixture[str]) -> None:
    session = search(
        "optimizer=adam",
        "optimizer.learning_rate=0.01,0.9",
        "hydra.sweeper.sampler=grid",
        "hydra.sweeper.pruner={name: threshold, lower: 0.45}",
        "trainer.verbose=1",
        launcher=FormulaLauncher(),
    )
    assert [trial.state for trial in session.trials] == ["FINISHED", "PRUNED"]
    ranking = capsys.readouterr().out.split("files")[0].strip().splitlines()
    assert len(ranking) == 2  # the heading, and the trial that was not pruned

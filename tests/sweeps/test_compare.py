"""Trials become rows, rows get verdicts, and the command says so."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from kexp.commands.compare import main
from kexp.errors import ConfigError, UnknownNameError
from kexp.sweeps.compare.filters import parse_filter
from kexp.sweeps.compare.results import SHARED_TRIALS, History, TrialResult, parameter_value
from kexp.sweeps.compare_sweeps import compare, compare_trials
from kexp.sweeps.objective import choose_objective, direction_of
from kexp.tracking import RunRecord, StoreSettings, log_finished_runs
from kexp.tracking.reading.histories import read_histories

Make = Callable[..., TrialResult]


def trial(params: Mapping[str, Any], state: str = "FINISHED", reason: str = "", **metrics: float) -> TrialResult:
    trial.count = getattr(trial, "count", 0) + 1  # type: ignore[attr-defined]
    number: int = trial.count  # type: ignore[attr-defined]
    return TrialResult(f"{number:032x}", f"trial-{number}", state, dict(params), metrics, reason, start_ms=number)


def seeds(params: Mapping[str, Any], values: Any, metric: str = "val_loss") -> list[TrialResult]:
    return [
        trial({**params, "seed": seed, "data.split_seed": seed}, **{metric: float(v)}) for seed, v in enumerate(values)
    ]


def test_trials_that_differ_in_the_seed_alone_are_one_row() -> None:
    values = np.random.default_rng().uniform(0.1, 0.2, (2, 4))
    trials = seeds({"optimizer.name": "sgd", "trainer.epochs": 3}, values[0])
    trials += seeds({"optimizer.name": "adam", "trainer.epochs": 3}, values[1] + 1)
    comparison = compare_trials(trials)
    frame = comparison.frame()
    assert comparison.columns == ["optimizer.name"]
    assert list(frame["optimizer.name"]) == ["sgd", "adam"]
    assert list(frame["n"]) == [4, 4]
    assert frame["val_loss"][0] == pytest.approx(values[0].mean())
    assert frame["val_loss_sd"][1] == pytest.approx(values[1].std(ddof=1))


def test_a_split_seed_that_does_not_follow_the_seed_tells_rows_apart() -> None:
    trials = [
        trial({"seed": seed, "data.split_seed": split}, val_loss=seed + split) for seed in (0, 1) for split in (5, 6)
    ]
    comparison = compare_trials(trials)
    assert comparison.columns == ["data.split_seed"]
    assert [row.summary.n for row in comparison.rows] == [2, 2]


def test_parameters_that_a_component_brings_along_are_no_columns() -> None:
    sgd = {
        "optimizer.name": "sgd",
        "optimizer.momentum": 0.0,
        "optimizer.learning_rate": 0.01,
        "optimizer.schedule": None,
    }
    adam = {"optimizer.name": "adam", "optimizer.beta_1": 0.9, "optimizer.learning_rate": 0.001}
    scheduled = {"optimizer.schedule.name": "cosine_decay", "optimizer.schedule.alpha": 0.0}
    plain = [trial({**each, "seed": 0}, val_loss=1.0) for each in (sgd, adam)]
    assert compare_trials(plain).columns == ["optimizer.name"]
    comparison = compare_trials([*plain, trial({**adam, **scheduled, "seed": 0}, val_loss=0.5)])
    assert comparison.columns == ["optimizer.name", "optimizer.schedule.name"]
    faster = {**adam, "optimizer.learning_rate": 0.1}
    comparison = compare_trials([trial({**each, "seed": 0}, val_loss=1.0) for each in (sgd, adam, faster)])
    assert comparison.columns == ["optimizer.name", "optimizer.learning_rate"]


def test_what_cannot_change_a_result_tells_nothing_apart() -> None:
    trials = [
        trial({"seed": seed, "name": f"n{seed}", "trainer.verbose": seed, "save.formats": f"[{seed}]"}, val_loss=1.0)
        for seed in range(3)
    ]
    assert len(compare_trials(trials).rows) == 1


def test_a_backend_and_an_engine_that_a_launcher_chose_tell_nothing_apart() -> None:
    """A single run on TensorFlow that a sweep of lanes takes up is a seed of that choice."""

    def ran(overrides: str, backend: str, engine: str, seed: int) -> TrialResult:
        made = trial({"seed": seed, "backend": backend, "trainer.engine": engine}, val_loss=1.0)
        return replace(made, overrides=overrides.split())

    def rows(*trials: TrialResult) -> int:
        return len(compare_trials(trials).rows)

    single, lane = ("", "tensorflow", "fit", 0), ("seed=1", "jax", "compiled", 1)
    assert rows(ran(*single), ran(*lane)) == 1
    assert rows(ran(*single), ran("seed=0", "jax", "fit", 0)) == 1
    assert rows(ran("backend=jax seed=0", "jax", "fit", 0), ran("backend=jax seed=1", "jax", "compiled", 1)) == 1
    # What the user chose does: each by its override, by presets, or by runs that are no sweep.
    assert rows(ran("backend=tensorflow seed=1", "tensorflow", "fit", 1), ran("backend=jax seed=1", *lane[1:])) == 2
    assert rows(ran("trainer=default", "tensorflow", "fit", 1), ran("trainer=compiled", *lane[1:])) == 2
    assert rows(ran("experiment=a", "tensorflow", "fit", 1), ran("experiment=b", *lane[1:])) == 2
    assert rows(ran(*single), ran("", "jax", "fit", 0)) == 2
    assert rows(ran("", "torch", "fit", 0), ran(*lane)) == 2


def test_verdicts_are_paired_tests_with_holms_correction() -> None:
    random = np.random.default_rng()
    luck = random.normal(0, 0.05, 6)  # of the seed, the same for every choice
    values = [0.20 + luck, 0.30 + luck + random.normal(0, 1e-3, 6), 0.2001 + luck + random.normal(0, 0.02, 6)]
    trials = [each for lr, row in enumerate(values) for each in seeds({"lr": lr}, row)]
    comparison = compare_trials(trials)
    by_lr = {row.params["lr"]: row for row in comparison.rows}
    best = by_lr[comparison.rows[0].params["lr"]]
    others = [row for row in comparison.rows if row is not best]
    raw = [stats.ttest_rel(values[row.params["lr"]], values[best.params["lr"]]).pvalue for row in others]
    low, high = sorted(raw)
    expected = {low: min(1, 2 * low), high: max(min(1, 2 * low), high)}
    for row, p in zip(others, raw, strict=True):
        assert row.judgement.p == pytest.approx(expected[p])
        assert row.judgement.verdict == ("worse" if expected[p] <= 0.05 else "indistinguishable")
    assert by_lr[1].judgement.verdict == "worse"
    assert best.judgement.verdict == "best"


def test_the_number_of_seeds_still_needed_does_tell() -> None:
    random = np.random.default_rng()
    noise = stats.zscore(random.normal(0, 1, 5), ddof=1)
    best, other = np.full(5, 1.0), 1.0 + 0.5 * (noise + 1.0)  # differences of mean 0.5 and sd 0.5: d_z = 1
    comparison = compare_trials(seeds({"lr": 1}, best) + seeds({"lr": 2}, other))
    judged = comparison.rows[1].judgement
    assert judged.verdict == "indistinguishable"
    # Ten pairs detect d_z = 1 at 5% with 80%: power.t.test(power=0.8, delta=1, sd=1, type="paired") in R, n = 9.93785.
    assert judged.more_seeds == 5


def test_a_row_that_wins_on_the_shared_seeds_can_be_better_than_the_best() -> None:
    random = np.random.default_rng()
    hard = np.array([0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]) + random.normal(0, 1e-3, 10)
    other = 0.7 + random.normal(0, 1e-3, 10)  # ran only with the seeds that are hard for all
    trials = seeds({"lr": 1}, hard) + seeds({"lr": 2}, other)[:4] + seeds({"lr": 3}, np.full(10, 2.0))
    # Of lr=2, four seeds: fewer than half of ten, so that lr=1 is the reference whatever the means are.
    judged = {row.params["lr"]: row.judgement.verdict for row in compare_trials(trials).rows}
    assert judged == {1: "best", 2: "better", 3: "worse"}


def test_a_lucky_single_seed_is_not_what_the_others_are_tested_against() -> None:
    trials = seeds({"lr": 1}, [0.01]) + seeds({"lr": 2}, [0.2, 0.21, 0.22]) + seeds({"lr": 3}, [0.9, 0.91, 0.95])
    comparison = compare_trials(trials)
    assert [row.params["lr"] for row in comparison.rows] == [1, 2, 3]
    assert comparison.reference is comparison.rows[1]
    assert comparison.rows[0].judgement.remark == "no test: fewer than 2 shared seeds"
    assert "rank 2 is the reference" in " ".join(comparison.notes)


def test_a_repeated_seed_counts_once_and_its_newest_result_counts() -> None:
    old, new = trial({"seed": 0}, val_loss=5.0), trial({"seed": 0}, val_loss=1.0)
    (row,) = compare_trials([new, old]).rows
    assert (row.summary.n, row.summary.mean) == (1, 1.0)


def test_trials_without_a_result_do_not_count_and_are_listed_with_reasons() -> None:
    trials = [
        *seeds({"lr": 1}, [0.1, 0.2]),
        trial({"lr": 1, "seed": 7}, "FAILED", "MemoryError: too big", val_loss=0.0),
        trial({"lr": 1, "seed": 8}, "PRUNED", val_loss=0.0),
        trial({"lr": 2, "seed": 0}, val_loss=math.nan),
        trial({"lr": 2, "seed": 1}),
    ]
    comparison = compare_trials(trials)
    assert [(row.rank, row.summary.n, row.lost) for row in comparison.rows] == [(1, 2, 2), (0, 0, 2)]
    assert [why for _, why in comparison.lost] == [
        "MemoryError: too big",
        "pruned",
        "val_loss is nan",
        "has no val_loss",
    ]
    assert comparison.rows[1].judgement.verdict == "no result"


def test_a_failure_that_was_made_good_is_not_listed() -> None:
    failed = trial({"lr": 1, "seed": 0}, "FAILED", "boom")
    again = trial({"lr": 1, "seed": 0}, val_loss=1.0)
    twice = [trial({"lr": 1, "seed": 1}, "FAILED", reason) for reason in ("first", "second")]
    comparison = compare_trials([failed, again, *twice])
    assert [why for _, why in comparison.lost] == ["second"]
    assert (comparison.rows[0].summary.n, comparison.rows[0].lost) == (1, 1)


def test_a_trial_that_ended_before_its_parameters_were_recorded_is_in_no_row() -> None:
    comparison = compare_trials([*seeds({"trainer.epochs": 3}, [0.1, 0.2]), trial({}, "KILLED", "killed (SIGKILL)")])
    assert (comparison.columns, len(comparison.rows), len(comparison.lost)) == ([], 1, 1)
    assert len(compare_trials([trial({}, "KILLED")]).frame()) == 1


def test_a_sweep_in_which_every_trial_failed_still_compares() -> None:
    comparison = compare_trials([trial({"seed": 0}, "FAILED", "boom")], objective="val_accuracy")
    assert comparison.conclusion() == "No trial has a result."
    assert len(comparison.frame()) == 1


def test_early_stopping_that_restores_the_best_weights_counts_the_best_epoch() -> None:
    settings = {
        "callbacks.early_stopping.name": "early_stopping",
        "callbacks.early_stopping.restore_best_weights": "true",
    }
    history: History = {"val_loss": [(1, 0.9), (2, 0.3), (3, 0.4)], "val_accuracy": [(1, 0.1), (2, 0.6), (3, 0.7)]}
    given = trial({**settings, "seed": 0}, val_loss=0.4, val_accuracy=0.7, test_accuracy=0.55)
    (row,) = compare_trials([given], histories=lambda ids: dict.fromkeys(ids, history)).rows
    assert row.summary.mean == 0.3
    assert {name: each.mean for name, each in row.others.items()} == {"val_accuracy": 0.6, "test_accuracy": 0.55}
    plain = trial({"seed": 0}, val_loss=0.4)
    assert compare_trials([plain], histories=lambda ids: {ids[0]: history}).rows[0].summary.mean == 0.4


def test_different_losses_are_not_ranked_by_their_losses() -> None:
    trials = [trial({"loss.name": name, "seed": 0}, val_loss=1.0, val_accuracy=0.5) for name in ("mse", "huber_loss")]
    assert compare_trials(trials).objective.metric == "val_accuracy"
    assert "different losses" in compare_trials(trials, objective="val_loss").notes[0]


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        *(
            (name, "minimize")
            for name in ("loss", "val_loss", "val_mean_absolute_error", "test_false_negatives", "kl_divergence")
        ),
        *((name, "minimize") for name in ("val_rmse", "negative_log_likelihood", "val_poisson", "binary_crossentropy")),
        *(
            (name, "maximize")
            for name in ("val_accuracy", "auc_1", "val_precision_at_recall", "r2_score", "f1_score", "recall")
        ),
        *(
            (name, "maximize")
            for name in ("val_top_k_categorical_accuracy", "mean_io_u", "true_positives", "cosine_similarity")
        ),
        ("val_foo", None),
    ],
)
def test_directions_are_known_from_names(metric: str, direction: str | None) -> None:
    assert direction_of(metric) == direction


def test_an_unknown_direction_is_asked_for() -> None:
    with pytest.raises(
        ConfigError, match="direction: must be given as minimize or maximize, because the name 'val_foo'"
    ):
        choose_objective(["val_foo"], "val_foo")
    assert choose_objective(["val_foo"], "val_foo", "maximize").direction == "maximize"
    with pytest.raises(ConfigError, match="must be minimize or maximize, got 'up'"):
        choose_objective(["val_foo"], "val_foo", "up")


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ("optimizer.name=adam", [0, 1]),
        ("optimizer=adam and optimizer.learning_rate<0.01", [0]),
        ("not optimizer=adam or val_loss >= 0.5", [1, 2]),
        ("optimizer.learning_rate!=0.001", [1, 2]),
        ("(optimizer=sgd or optimizer.learning_rate=1e-3) and state=FINISHED", [0, 2]),
        ("model.hidden=[64,32]", [1]),
        ("optimizer.nesterov=true", [2]),
        ("optimizer.nesterov=1", []),
        ("optimizer.name='sgd'", [2]),
    ],
)
def test_where_chooses_trials(expression: str, chosen: list[int]) -> None:
    trials = [
        trial({"optimizer.name": "adam", "optimizer.learning_rate": "0.001", "model.hidden": "[64]"}, val_loss=0.1),
        trial({"optimizer.name": "adam", "optimizer.learning_rate": "0.1", "model.hidden": "[64, 32]"}, val_loss=0.5),
        trial({"optimizer.name": "sgd", "optimizer.nesterov": "true"}, val_loss=0.4),
    ]
    condition = parse_filter(expression, trials)
    assert [place for place, each in enumerate(trials) if condition(each)] == chosen


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "where: must be an expression such as optimizer.name=adam, got ''"),
        (
            "optimizer.nme=adam",
            "where: there is no parameter or metric 'optimizer.nme'; did you mean 'optimizer.name'?",
        ),
        ("optimizer.name", "must be comparisons such as"),
        ("optimizer.name=adam optimizer.name=sgd", "must be joined by and or or"),
        ("(optimizer.name=adam", "a parenthesis is not closed"),
        ("optimizer.name<adam", "optimizer.name< must be followed by a number, got 'adam'"),
        ("optimizer.name='adam", 'cannot be read from "\'adam" on'),
    ],
)
def test_where_refuses_what_it_cannot_read(expression: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_filter(expression, [trial({"optimizer.name": "adam"})])
    assert message in str(caught.value)


def test_parameter_values_are_read_from_text() -> None:
    given = ["0.001", "1", "true", "null", "[64,  32]", "adam", [64, 32], True, "NaN-like"]
    assert [parameter_value(each) for each in given] == [
        0.001, 1, True, None, "[64, 32]", "adam", "[64, 32]", True, "NaN-like",
    ]  # fmt: skip


def test_bad_requests_name_the_nearest() -> None:
    trials = seeds({"optimizer.name": "adam"}, [0.1])
    with pytest.raises(UnknownNameError, match="there is no metric 'val_los'; did you mean 'val_loss'"):
        compare_trials(trials, objective="val_los")
    with pytest.raises(UnknownNameError, match="metrics: there is no metric 'auc'"):
        compare_trials(trials, metrics=["auc"])
    with pytest.raises(UnknownNameError, match="params: there is no parameter 'optimiser'; did you mean"):
        compare_trials(trials, params=["optimiser"])
    with pytest.raises(ConfigError, match="no trial matches 'seed=9'"):
        compare_trials(trials, where="seed=9")
    with pytest.raises(ConfigError, match="no trials"):
        compare_trials([])


# --- in a real store ---


def record(
    name: str,
    parent: str | None,
    params: Mapping[str, Any],
    curve: list[float],
    tags: Mapping[str, str] = {},
    **more: Any,
) -> RunRecord:
    points = [("val_loss", value, epoch, epoch) for epoch, value in enumerate(curve, start=1)]
    points += [("val_accuracy", 1 - value, epoch, epoch) for epoch, value in enumerate(curve, start=1)]
    stamp = record.count = getattr(record, "count", 0) + 1  # type: ignore[attr-defined]
    return RunRecord(
        **{"name": name, "status": "FINISHED", "start_ms": stamp, "end_ms": stamp + 1000, "params": params, **more},
        metrics=points,
        tags=tags,
        parent_run_id=parent,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StoreSettings:
    """Two sweeps; the second took over one trial of the first."""
    folder = tmp_path_factory.mktemp("store")
    settings = StoreSettings(uri=f"sqlite:///{folder / 'mlflow.db'}", artifact_location=str(folder / "artifacts"))
    mark = {"kexp.sweep.name": "rates", "kexp.sweep.objective": "val_accuracy", "kexp.sweep.direction": "maximize"}
    first = record("rates", None, {}, [], mark)
    trials = [
        record(
            f"t{lr}-{seed}", first.run_id, {"optimizer.learning_rate": lr, "seed": seed}, [0.9, 0.1 + lr + seed / 100]
        )
        for lr in (0.1, 0.2)
        for seed in range(3)
    ]
    trials.append(
        record(
            "broken",
            first.run_id,
            {"optimizer.learning_rate": 0.2, "seed": 9},
            [0.9],
            {"kexp.reason": "TrainingError: nan"},
            status="FAILED",
        )
    )
    taken = trials[0].run_id
    second = record(
        "again", None, {}, [], {"kexp.sweep.name": "again", "kexp.sweep.done": "1"}, texts={SHARED_TRIALS: f"{taken}\n"}
    )
    own = record("own", second.run_id, {"optimizer.learning_rate": 0.5, "seed": 0}, [0.7])
    log_finished_runs(settings, [first, *trials, second, own])
    return settings


def test_latest_is_the_newest_sweep_with_the_trials_that_it_took_over(store: StoreSettings) -> None:
    comparison = compare(uri=store.uri)
    assert comparison.title == "again"
    assert sorted(each.name for each in comparison.trials) == ["own", "t0.1-0"]


def test_a_named_sweep_is_compared_by_its_own_objective(store: StoreSettings) -> None:
    comparison = compare("rates", uri=store.uri)
    assert (comparison.objective.metric, comparison.objective.direction) == ("val_accuracy", "maximize")
    assert [row.params["optimizer.learning_rate"] for row in comparison.rows] == [0.1, 0.2]
    assert comparison.lost[0][1] == "TrainingError: nan"
    assert len(compare("rates", "again", uri=store.uri).rows) == 3


def test_histories_are_read_in_bulk(store: StoreSettings) -> None:
    trials = compare("rates", uri=store.uri).trials
    histories = read_histories(store, [each.run_id for each in trials])
    assert histories[trials[0].run_id]["val_loss"] == [(1, 0.9), (2, 0.2)]
    assert len(histories) == 7


def test_command_prints_a_table_of_at_most_100_columns(
    store: StoreSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rates", "--uri", str(store.uri), "--where", "optimizer.learning_rate<=0.2"]) == 0
    out = capsys.readouterr().out
    table = [line for line in out.splitlines() if line.startswith(("rank", "----", "   1", "   2"))]
    assert len(table) == 4
    assert max(map(len, table)) <= 100
    assert "worse" not in table[2] and "best" in table[2]
    assert "broken  failed: TrainingError: nan" in out


@pytest.mark.parametrize("form", ["csv", "json", "html"])
def test_command_writes_other_formats(form: str, store: StoreSettings, tmp_path: Path) -> None:
    file = tmp_path / f"out.{form}"
    assert main(["rates", "--uri", str(store.uri), "--format", form, "--output", str(file)]) == 0
    text = file.read_text()
    if form == "json":
        assert [row["params"]["optimizer.learning_rate"] for row in json.loads(text)["rows"]] == [0.1, 0.2]
    elif form == "csv":
        assert text.splitlines()[0].startswith("rank,optimizer.learning_rate,val_accuracy,val_accuracy_sd")
    else:
        assert "parcoords" in text and "TrainingError: nan" in text


def test_command_refuses_a_sweep_that_is_not_there(store: StoreSettings) -> None:
    with pytest.raises(UnknownNameError, match="SWEEP: there is no sweep or run 'rate'; did you mean 'rates'"):
        main(["rate", "--uri", str(store.uri)])
    with pytest.raises(ConfigError, match="no run yet in experiment 'empty'"):
        main(["--uri", str(store.uri), "--experiment", "empty"])
    with pytest.raises(UnknownNameError, match="metric 'val_acuracy'; did you mean 'val_accuracy'"):
        main(["rates", "--uri", str(store.uri), "--objective", "val_acuracy"])


def folds(params: Mapping[str, Any], values: Any, seed: int = 0, split: int = 0) -> list[TrialResult]:
    common = {**params, "seed": seed, "data.split_seed": split, "data.folds": len(values)}
    return [trial({**common, "data.fold": fold}, val_loss=float(v)) for fold, v in enumerate(values)]


def test_folds_of_a_choice_are_one_row_and_tested_with_the_correction_for_shared_rows() -> None:
    a, b = np.random.default_rng().normal(0.3, 0.05, (2, 5))
    b += 1.0
    comparison = compare_trials(folds({"optimizer.name": "sgd"}, a) + folds({"optimizer.name": "adam"}, b))
    frame = comparison.frame()
    assert comparison.columns == ["optimizer.name"] and list(frame["n"]) == [5, 5]
    differences = b - a
    t = differences.mean() / np.sqrt((1 / 5 + 1 / 4) * differences.var(ddof=1))  # Nadeau and Bengio, equation (9)
    assert frame["p_value"][1] == pytest.approx(2 * stats.t.sf(abs(t), 4), rel=1e-9)
    low, high = stats.t.interval(0.95, 4, loc=a.mean(), scale=np.sqrt((1 / 5 + 1 / 4) * a.var(ddof=1)))
    assert (frame["val_loss_low"][0], frame["val_loss_high"][0]) == pytest.approx((low, high))
    assert any("Nadeau and Bengio" in note for note in comparison.notes)
    assert "interval of 5 folds" in comparison.conclusion()


def test_seeds_on_one_fold_are_one_draw_and_other_splits_are_more() -> None:
    random = np.random.default_rng()
    a, b = random.normal(0.3, 0.05, (2, 3, 4))
    same = [each for seed in range(3) for each in folds({"m": 1}, a[seed], seed) + folds({"m": 2}, b[seed], seed)]
    frame = compare_trials(same).frame()
    assert list(frame["n"]) == [4, 4]
    expected = sorted((a.mean(), b.mean()))
    assert list(frame["val_loss"]) == pytest.approx(expected)
    fresh = [
        each
        for seed in range(3)
        for each in folds({"m": 1}, a[seed], seed, seed) + folds({"m": 2}, b[seed], seed, seed)
    ]
    repeated = compare_trials(fresh).frame()
    assert list(repeated["n"]) == [12, 12]
    differences = (b - a).ravel()
    t = differences.mean() / np.sqrt((1 / 12 + 1 / 3) * differences.var(ddof=1))
    assert repeated["p_value"][1] == pytest.approx(2 * stats.t.sf(abs(t), 11), rel=1e-9)

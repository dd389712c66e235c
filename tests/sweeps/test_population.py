"""Sweeps in stages, on real lanes: what ends early, what is copied, and that each run is a training like any other."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kexp.cli import main
from kexp.errors import ConfigError
from kexp.sweeps.sweep_command import opened_sweeper
from kexp.tracking import RunView, StoreSettings, search
from kexp.tracking.reading.histories import read_histories

HERE = Path(__file__).parent
SMALL = [
    "model.hidden=[16]",
    "trainer.epochs=8",
    "sweep.objective=val_accuracy",
    "save=none",
    "tracking.figures=false",
]
RATES = "optimizer.learning_rate=geomspace(1e-4,0.3,16)"
ASHA = ["hydra/sweeper=asha", "hydra.sweeper.eta=2", RATES, "sweep.name=halved", *SMALL]
PBT = [
    "hydra/sweeper=pbt",
    "hydra.sweeper.population=8",
    "hydra.sweeper.interval=2",
    "optimizer.learning_rate=tag(log, interval(1e-4,0.03))",
    "model.dropout=interval(0.05,0.5)",
    "sweep.name=people",
    *SMALL,
]


@dataclass(frozen=True)
class Swept:
    """A sweep that is over.

    Attributes:
        runs: by the trial's number.
        curves: val_accuracy by epoch, of each.
        printed: by the sweep.
        decisions: what it decided.
    """

    runs: dict[int, RunView]
    curves: dict[int, dict[int, float]]
    printed: str = ""
    decisions: list[dict[str, Any]] = ()  # type: ignore[assignment]


def kexp(folder: Path, *arguments: str, before: tuple[str, ...] = ("-m", "kexp", "-m"), code: int = 0) -> str:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *before, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        start_new_session=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def swept(folder: Path, printed: str = "") -> Swept:
    store = StoreSettings(uri=f"sqlite:///{folder / 'mlflow.db'}")
    views = [view for view in search(store) if view.parent_run_id is not None]
    runs = {int(view.tags["kexp.trial"]): view for view in views}
    assert len(runs) == len(views)  # no trial has two runs
    histories = read_histories(store, [view.run_id for view in views])
    curves = {number: dict(histories[view.run_id]["val_accuracy"]) for number, view in runs.items()}
    files = list(folder.glob("multirun/*/population.json"))
    decisions = json.loads(files[0].read_text())["decisions"] if files else []
    return Swept(runs, curves, printed, decisions)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield tmp_path_factory.mktemp("population")


@pytest.fixture(scope="module")
def halved(places: Path) -> Swept:
    return swept(places / "asha", kexp(places / "asha", *ASHA))


@pytest.fixture(scope="module")
def whole(places: Path) -> Swept:
    """The same trials, none of which ends early."""
    return swept(places / "grid", kexp(places / "grid", "hydra/launcher=fused", RATES, *SMALL))


@pytest.fixture(scope="module")
def people(places: Path) -> Swept:
    return swept(places / "pbt", kexp(places / "pbt", "fused.verify=8", *PBT))


def best_first(values: dict[int, float]) -> list[int]:
    numbers = np.array(sorted(values))
    return [int(each) for each in numbers[np.argsort(-np.array([values[n] for n in numbers]), kind="stable")]]


def test_asha_ends_what_a_ranking_of_the_recorded_values_says(halved: Swept) -> None:
    assert len(halved.runs) == 16
    for epoch, kept in ((1, 8), (2, 4), (4, 2)):
        there = {number: curve[epoch] for number, curve in halved.curves.items() if epoch in curve}
        beyond = {number for number, curve in halved.curves.items() if max(curve) > epoch}
        assert beyond == set(best_first(there)[:kept])
    assert sorted(max(curve) for curve in halved.curves.values()) == [1] * 8 + [2] * 4 + [4] * 2 + [8] * 2
    for number, view in halved.runs.items():
        short = max(halved.curves[number]) < 8
        assert view.status == "FINISHED"
        assert (view.tags.get("kexp.state") == "PRUNED") == short
        assert ("test_accuracy" in view.metrics) != short
    assert "asha: trained 40 epochs of 128, 31%" in halved.printed
    assert "8 beyond epoch 1, 4 beyond epoch 2, 2 beyond epoch 4, to maximize val_accuracy" in halved.printed


def test_lane_that_survives_asha_is_the_lane_of_a_sweep_without(halved: Swept, whole: Swept) -> None:
    for number, curve in halved.curves.items():
        full = whole.curves[number]
        np.testing.assert_allclose([full[epoch] for epoch in curve], list(curve.values()), rtol=0, atol=1e-6)
    survivors = [number for number, curve in halved.curves.items() if max(curve) == 8]
    for number in survivors:
        measured = [
            {key: value for key, value in sweep.runs[number].metrics.items() if not key.startswith("system/")}
            for sweep in (halved, whole)
        ]
        assert measured[0] == measured[1]
        assert halved.runs[number].tags["kexp.fingerprint"] == whole.runs[number].tags["kexp.fingerprint"]


def test_asha_finds_a_trial_as_good_as_the_best_of_all_whole_ones(halved: Swept, whole: Swept) -> None:
    rows = 0.2 * 0.8 * 1797  # validation rows of the digits
    best, most = (max(curve[8] for curve in each.curves.values() if 8 in curve) for each in (halved, whole))
    assert best >= most - 2 * np.sqrt(most * (1 - most) / rows)  # two standard errors of the measurement


def test_same_asha_again_trains_nothing(halved: Swept, places: Path) -> None:
    printed = kexp(places / "asha", *ASHA)
    assert "goes on after epoch 4, where it was" in printed
    assert "2 done already" in printed
    assert swept(places / "asha").runs.keys() == halved.runs.keys()


def test_pbt_replaces_what_a_ranking_of_the_values_says_by_what_is_at_its_top(people: Swept) -> None:
    assert [decision["epoch"] for decision in people.decisions] == [2, 4, 6]
    replaced_later: set[int] = set()
    for decision in reversed(people.decisions):
        values = {int(number): value for number, value in decision["values"].items()}
        ranked = best_first(values)
        assert {int(number) for number in decision["copies"]} == set(ranked[6:])
        assert {copy["donor"] for copy in decision["copies"].values()} <= set(ranked[:2])
        replaced_later |= set(ranked[6:])
        for number in set(values) - replaced_later:  # of the others the store has the epoch
            assert people.curves[number][decision["epoch"]] == pytest.approx(values[number], abs=1e-12)


def test_pbt_member_has_its_donors_past_and_numbers_of_its_own_after(people: Swept) -> None:
    last = people.decisions[-1]
    for number, copy in ((int(each), copy) for each, copy in last["copies"].items()):
        mine, donor = people.runs[number], people.runs[copy["donor"]]
        for epoch in range(1, 7):
            assert people.curves[number][epoch] == people.curves[copy["donor"]][epoch]
        assert mine.metrics["loss"] != donor.metrics["loss"]
        assert mine.tags["kexp.lineage"].endswith(f"{copy['donor']} until epoch 6")
        for key, value in copy["values"].items():
            assert float(mine.params[f"trainer.changes.{key}.6"]) == value
            assert mine.metrics[key] == value
            assert value != donor.metrics.get(key, float(donor.params[key]))
            low, high = (1e-4, 0.03) if "rate" in key else (0.05, 0.5)
            assert low <= value <= high
    assert {view.status for view in people.runs.values()} == {"FINISHED"}
    assert "verified 8 lanes trained again alone, 0 came out otherwise" in people.printed
    assert "pbt: trial " in people.printed


def test_run_of_a_pbt_member_can_be_reproduced(people: Swept, places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = next(iter(people.decisions[-1]["copies"]))
    told = kexp(places / "pbt", "reproduce", people.runs[int(copied)].run_id, before=("-m", "kexp"))
    assert "equal     8 epochs" in told
    assert "optimizer.learning_rate" in told


@pytest.mark.parametrize("kind", ["asha", "pbt"])
def test_sweep_that_is_killed_after_a_decision_goes_on_to_the_same_results(
    kind: str, halved: Swept, people: Swept, places: Path
) -> None:
    expected, arguments = (halved, ASHA) if kind == "asha" else (people, PBT)
    place = places / f"killed-{kind}"
    how, code = ("SIGKILL", -signal.SIGKILL) if kind == "asha" else ("SIGINT", 130)
    kexp(place, "decided", "2", how, "-m", *arguments, before=(str(HERE / "killed.py"),), code=code)
    printed = kexp(place, "resume", "halved" if kind == "asha" else "people", before=("-m", "kexp"))
    assert "where it was" in printed
    found = swept(place)
    assert {view.status for view in found.runs.values()} == {"FINISHED"}
    assert found.curves == expected.curves
    assert found.decisions == expected.decisions
    assert {n: v.tags["kexp.fingerprint"] for n, v in found.runs.items()} == {
        n: v.tags["kexp.fingerprint"] for n, v in expected.runs.items()
    }


def test_pbt_whose_engine_dies_between_decisions_comes_to_the_same_results(people: Swept, places: Path) -> None:
    place = places / "engine"
    kexp(place, "workers", "20", "SIGKILL", "-m", *PBT, before=(str(HERE / "killed.py"),))
    found = swept(place)
    assert found.curves == people.curves
    assert found.decisions == people.decisions


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["hydra/sweeper=asha", "hydra.sweeper.eta=1", RATES], "hydra.sweeper.eta: must be at least 2, got 1"),
        (["hydra/sweeper=asha", "hydra.sweeper.min_epochs=8", RATES], "must be less than trainer.epochs=8, got 8"),
        (["hydra/sweeper=asha", "hydra.sweeper.n_trials=1", RATES], "hydra.sweeper.n_trials: must be at least 2"),
        (["hydra/sweeper=asha", "model.dropout=interval(0,0.5)"], "hydra.sweeper.n_trials: must be given"),
        (["hydra/sweeper=asha"], "the sweep has no axis to search over"),
        (["hydra/sweeper=asha", RATES, "seed=1,2"], "seed: must be left out, or one seed, with hydra/sweeper=asha"),
        (["hydra/sweeper=asha", RATES, "sweep.seeds=2"], "sweep.seeds: must be left out"),
        (["hydra/sweeper=asha", RATES, "backend=tensorflow"], "backend: must be jax"),
        (["hydra/sweeper=asha", RATES, "fused.strict=false"], "fused.strict: must be left out"),
        (["hydra/sweeper=asha", RATES, "hydra/launcher=processes"], "hydra/launcher: must be auto or fused"),
        (["hydra/sweeper=asha", RATES, "sweep.objective=test_accuracy"], "sweep.objective: must be measured every"),
        (["hydra/sweeper=asha", "optimizer.learning_rat=1,2"], "learning_rat"),
        (["hydra/sweeper=pbt", RATES, "hydra.sweeper.quantile=0.6"], "hydra.sweeper.quantile: must be"),
        (["hydra/sweeper=pbt", RATES, "hydra.sweeper.quantile=0"], "hydra.sweeper.quantile: must be"),
        (["hydra/sweeper=pbt", RATES, "hydra.sweeper.interval=8"], "must be less than trainer.epochs=8, got 8"),
        (["hydra/sweeper=pbt", RATES, "hydra.sweeper.population=1"], "hydra.sweeper.population: must be at least 2"),
        (["hydra/sweeper=pbt", RATES, "hydra.sweeper.population=17"], "hydra.sweeper.population: must be at most 16"),
        (["hydra/sweeper=pbt", RATES, "hydra.sweeper.factors=[]"], "hydra.sweeper.factors: must have"),
        (["hydra/sweeper=pbt", "optimizer=sgd,adam"], "optimizer: must have one value with hydra/sweeper=pbt"),
        (["hydra/sweeper=pbt", "model.hidden=[8],[16]"], "model.hidden: must have one value"),
        (["hydra/sweeper=pbt", "trainer.batch_size=16,32"], "trainer.batch_size: must have one value"),
        (["hydra/sweeper=pbt", "model.dropout=0,0.2"], "model.dropout: must not be 0 with hydra/sweeper=pbt"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(arguments: list[str], sentence: str, workplace: Path) -> None:
    with (
        pytest.raises(ConfigError) as refused,
        opened_sweeper([*SMALL, *arguments]) as (sweeper, given),
    ):
        sweeper.launcher = type(sweeper.launcher)() if hasattr(sweeper.launcher, "prepare") else sweeper.launcher
        sweeper.plan(given)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["hydra/sweeper=asha", RATES, "callbacks=[tensorboard]"],
            "hydra/sweeper: asha runs trials as lanes, and trial 0 cannot be a lane; callbacks.tensorboard",
        ),
        (
            ["hydra/sweeper=pbt", "optimizer=adagrad", "optimizer.initial_accumulator_value=interval(0.05,0.2)"],
            "optimizer.initial_accumulator_value: cannot change while a model trains",
        ),
    ],
)  # fmt: skip
def test_what_only_the_engine_knows_is_refused_before_any_epoch(
    arguments: list[str], sentence: str, workplace: Path
) -> None:
    told = io.StringIO()
    with contextlib.redirect_stderr(told), pytest.raises(SystemExit) as ended:
        main(["-m", *SMALL, *arguments])
    assert ended.value.code == 2
    assert sentence in told.getvalue()
    assert "Traceback" not in told.getvalue()

"""A sweep as lanes of compiled programs: the engine has a process of its own, so that this one may be on TensorFlow."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import kexp
from kexp.cli import main
from kexp.tracking import RunView, StoreSettings, metric_history, search

FUSED = ["-m", "hydra/launcher=fused", "model.hidden=[16]", "trainer.epochs=4", "tracking.figures=false"]
GRID = [*FUSED, "fused.verify=2", "optimizer.learning_rate=1e-3,1e-2", "seed=range(3)"]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def runs() -> list[RunView]:
    return [view for view in search(StoreSettings()) if view.parent_run_id is not None]


@dataclass(frozen=True)
class Swept:
    folder: Path
    trials: dict[str, RunView]
    printed: str


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    folder = tmp_path_factory.mktemp("fused")
    done = subprocess.run(
        [sys.executable, "-m", "kexp", *GRID], cwd=folder, capture_output=True, text=True, check=True, timeout=300
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        trials = {view.tags["kexp.trial"]: view for view in runs()}
        yield Swept(folder, trials, done.stdout)


def test_every_lane_is_a_whole_run(swept: Swept) -> None:
    assert sorted(swept.trials) == [str(number) for number in range(6)]
    assert len({view.tags["kexp.fingerprint"] for view in swept.trials.values()}) == 6
    for view in swept.trials.values():
        assert view.status == "FINISHED"
        assert (view.params["backend"], view.params["trainer.engine"]) == ("jax", "compiled")
        for metric in ("loss", "accuracy", "val_loss", "val_accuracy"):
            points = metric_history(StoreSettings(), view.run_id, metric)
            assert [point.step for point in points] == [1, 2, 3, 4]
        assert 0.3 < view.metrics["test_accuracy"] <= 1
    assert "verified 2 lanes trained again alone, 0 came out otherwise" in swept.printed
    assert "group 1: 6 trials from 0 on, 4 lanes; the only structure" in swept.printed


def test_the_best_five_are_saved_and_load_on_tensorflow_with_their_recorded_metrics(swept: Swept) -> None:
    import keras
    from sklearn.datasets import load_digits

    ranked = sorted(swept.trials.values(), key=lambda view: view.metrics["val_loss"])
    saved = [Path(view.tags["kexp.folder"], "saved", "model.h5").exists() for view in ranked]
    assert saved == [True] * 5 + [False]
    assert "the best 5 by val_loss" in swept.printed
    assert keras.config.backend() == "tensorflow"
    model = kexp.load_model(ranked[0].run_id)
    x, y = load_digits(return_X_y=True)
    measured = (model.predict(x.reshape(len(x), *model.input_shape[1:]), verbose=0).argmax(axis=1) == y).mean()
    assert measured > 0.9


def test_the_same_sweep_again_runs_nothing(swept: Swept, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*GRID) == 0
    assert "6 trials, 6 done already" in capfd.readouterr().err
    assert len(runs()) == 6


def test_a_lane_equals_the_same_trial_run_alone_to_the_last_bit(swept: Swept) -> None:
    view = swept.trials["4"]
    done = subprocess.run(
        [sys.executable, "-m", "kexp", "reproduce", view.run_id],
        cwd=swept.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal     4 epochs" in done.stdout


def test_what_cannot_be_a_lane_runs_in_workers_and_a_lane_that_diverges_ends_alone(
    workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run(
        *FUSED,
        "optimizer=sgd",
        "optimizer.learning_rate=0.01,1e30",
        "+callbacks.kept={name: model_checkpoint, filepath: best.keras},null",
        "hydra.launcher.n_workers=1",
        "sweep.max_retries=0",
    )
    printed = capfd.readouterr()
    trials = {view.tags["kexp.trial"]: view for view in runs()}
    assert code == 1, printed.err
    assert [trials[number].status for number in "0123"] == ["FINISHED", "FINISHED", "FAILED", "FAILED"]
    assert [trials[number].params["backend"] for number in "0123"] == ["tensorflow", "jax"] * 2
    assert "the loss became" in trials["3"].tags["kexp.reason"]
    assert "callbacks.kept: ModelCheckpoint works on the whole model" in printed.out
    assert (
        run(
            *FUSED,
            "optimizer=sgd",
            "optimizer.learning_rate=0.01",
            "+callbacks.kept=null,{name: model_checkpoint, filepath: best.keras}",
        )
        == 0
    )
    assert "2 trials, 2 done already" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backend=tensorflow"], "backend: must be jax, or left out, with hydra/launcher=fused, got 'tensorflow'"),
        (["fused.max_lanes=0"], "fused.max_lanes: must be at least 1, got 0"),
        (["fused.lanes=8"], "fused.lanes: "),
        (["hydra.launcher.n_workers=0"], "hydra.launcher.n_workers: must be a whole number, at least 1, got 0"),
        (["save.keep=some"], "save.keep: must be all, best, none or top:N with N at least 1, got 'some'"),
    ],
)
def test_what_cannot_be_is_refused_before_any_compute(
    arguments: list[str], message: str, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*GRID, *arguments) == 2
    assert message in capfd.readouterr().err
    assert not (workplace / "multirun").exists()


def test_strict_refuses_a_sweep_with_a_trial_that_cannot_be_a_lane_before_any_is_trained(
    workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = "+callbacks.kept=null,{name: model_checkpoint, filepath: best.keras}"
    assert run(*FUSED, "seed=1,2", kept, "fused.strict=true") == 2
    assert "fused.strict: trial 1 cannot be a lane; callbacks.kept: ModelCheckpoint" in capfd.readouterr().err
    assert runs() == []


@pytest.mark.real_process
def test_an_engine_that_is_killed_costs_no_trial(workplace: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while not any(workplace.glob("multirun/*/[0-9]*")) and time.monotonic() < deadline:  # a trial has ended
            time.sleep(0.002)
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):  # a child that is gone meanwhile
                if "kexp.sweeps.launch.lanes.engine_process:serve" in child.cmdline():
                    child.kill()
                    killed.append(child.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    code = run(*FUSED, "optimizer.learning_rate=1e-3,1e-2", "seed=range(100)", "trainer.epochs=20", "save.keep=none")
    thread.join()
    assert killed
    assert code == 0
    assert Counter(view.status for view in runs()) == {"FINISHED": 200}
    assert len({view.params["seed"] + view.params["optimizer.learning_rate"] for view in runs()}) == 200


@pytest.mark.slow
def test_programs_that_memory_makes_narrower_are_told_of_and_reproduced(
    workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wide = ["model.hidden=[1500]", "trainer.epochs=1", "fused.memory_limit_mb=24", "save.keep=none"]
    assert run(*FUSED, *wide, "seed=1,2") == 0
    printed = capfd.readouterr().out
    told = re.search(r"4 lanes would take .* of memory: ([12]) in place of 4 lanes", printed)
    assert told, printed
    for view in runs():
        assert view.tags["kexp.fewer_lanes"] == told[1]
        assert f"{told[1]} lanes" in view.tags["kexp.fused"]
        assert told[0] in view.tags["kexp.notices"]
    command = [sys.executable, "-m", "kexp", "reproduce", runs()[0].run_id]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal     1 epoch " in done.stdout
    assert "changed" not in done.stdout


def test_a_search_prunes_lanes(workplace: Path) -> None:
    code = run(
        *FUSED,
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=12",
        "hydra.sweeper.sampler={name: random}",
        "hydra.sweeper.pruner={name: threshold, upper: 2.0}",
        "optimizer.learning_rate=tag(log,interval(1e-5,1e-1))",
    )
    assert code == 0
    states = Counter(view.tags.get("kexp.state", view.status) for view in runs())
    assert states["PRUNED"] + states["FINISHED"] == 12
    assert states["PRUNED"] and states["FINISHED"]
    for view in runs():
        if view.tags.get("kexp.state") == "PRUNED":
            assert len(metric_history(StoreSettings(), view.run_id, "loss")) < 4

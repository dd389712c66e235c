"""A sweep is killed again and again, and resumed until it is done: nothing is lost, doubled or left RUNNING."""

from __future__ import annotations

import functools
import itertools
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from kexp.tracking import RunView, StoreSettings, search
from kexp.tracking.reading.histories import read_histories

DRIVER = Path(__file__).with_name("killed.py")
SMALL = [
    "backend=jax",
    "data=random",
    "data.rows=40",
    "model.hidden=[4]",
    "model.dropout=0.2",
    "schedule=cosine_decay",
    "callbacks=[early_stopping]",
    "callbacks.early_stopping.patience=1",
    "trainer.epochs=4",
    "trainer.batch_size=16",
    "trainer.checkpoint_epochs=1",
    "save=none",
    "tracking.figures=false",
    "hydra/launcher=processes",
    "hydra.launcher.n_workers=2",
]
INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL
EARLY = ("planned", "opening", "opened")
MIDDLE = ("started", "epoch", "over", "handed", "writing", "written")
END = ("summary", "report", "reported")


class Kill(NamedTuple):
    """Where it strikes, at which of the times that a sweep comes by there, and how."""

    point: str
    nth: int
    signal: signal.Signals


def ten_sweeps() -> list[list[Kill]]:
    """Sixty kills, six to a sweep; every point of the middle meets every signal."""
    sweeps = []
    for number in range(10):
        chance = random.Random(number)
        signals = [(INT, TERM, KILL)[(number // 2 + j) % 3] for j in range(3)]
        middle = [Kill(MIDDLE[(3 * number + j) % 6], chance.randint(1, 3), signals[j]) for j in range(3)]
        # A trial that was recorded as KILLED has a run to replace once it has ended well.
        middle.sort(key=lambda kill: kill.signal is not KILL)
        replacing = Kill("replacing", 1, signals[0])
        first, last = (Kill(points[number % 3], 1, signals[number % 2]) for points in (EARLY, END))
        sweeps.append([first, *middle, replacing, last])
    return sweeps


def run(place: Path, trials: int, kill: Kill | None = None) -> int:
    """Starts the sweep, or goes on with it; returns the exit code, below 0 the signal that ended it."""
    program = ["-m", "kexp"] if kill is None else [str(DRIVER), kill.point, str(kill.nth), kill.signal.name]
    with open(place / "stderr.txt", "ab") as errors:
        process = subprocess.Popen(
            [sys.executable, *program, "-m", *SMALL, f"seed=range({trials})"],
            cwd=place,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"},
        )
    try:
        return process.wait(240)
    finally:
        process.kill()


def told(place: Path) -> str:
    written = place / "stderr.txt"
    return written.read_text() if written.exists() else ""


def store(place: Path) -> StoreSettings:
    return StoreSettings(uri=f"sqlite:///{place / 'mlflow.db'}", artifact_location=str(place / "mlruns"))


def runs(place: Path) -> list[RunView]:
    return list(search(store(place))) if (place / "mlflow.db").exists() else []


@functools.cache
def uninterrupted(folder: Path, trials: int) -> Mapping[int, Mapping[str, Sequence[tuple[int, float]]]]:
    """Every metric point of each trial, by seed, of a sweep that nothing happens to."""
    folder.mkdir()
    assert run(folder, trials) == 0, told(folder)
    return points(folder)


def points(place: Path) -> dict[int, Mapping[str, Sequence[tuple[int, float]]]]:
    seeds = {view.run_id: int(view.params["seed"]) for view in runs(place) if view.parent_run_id is not None}
    return {seeds[run_id]: history for run_id, history in read_histories(store(place), list(seeds)).items()}


def points_after(
    place: Path, trials: int, kills: Sequence[Kill]
) -> dict[int, Mapping[str, Sequence[tuple[int, float]]]]:
    """Every metric point of each trial, by seed, of a sweep that is killed so and goes on each time."""
    for struck, kill in enumerate(kills, 1):
        said = len(told(place))
        code = run(place, trials, kill)
        assert told(place).count("struck at") == struck, (kill, told(place))
        if kill.signal is not KILL and kill.point in MIDDLE:
            (name,) = (folder.name for folder in (place / "multirun").glob("[!.]*"))
            assert f"the sweep was interrupted; to go on: kexp resume {name}" in told(place)[said:]
        if kill.signal is KILL:
            assert code == -KILL
        else:  # where the sweep is ending already, it ends as if nothing had come
            assert code in ((0,) if kill.point in END else (128 + kill.signal, -kill.signal)), (kill, told(place))
            assert not [view.name for view in runs(place) if view.status == "RUNNING"], kill
    assert run(place, trials) == 0, told(place)
    everything = runs(place)
    children = [view for view in everything if view.parent_run_id is not None]
    assert Counter(view.status for view in everything) == {"FINISHED": trials + 1}
    assert sorted(int(view.params["seed"]) for view in children) == list(range(trials))
    assert len({view.parent_run_id for view in children}) == 1
    assert told(place).count("FINISHED  epoch") <= trials, "what was over has been run again"
    (folder,) = (place / "multirun").glob("[!.]*")
    assert (folder / "report.html").is_file()
    assert not [left for left in ("checkpoints", "states", "outbox/trials") if (folder / left).exists()]
    return points(place)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sweeps that nothing happens to are."""
    return tmp_path_factory.mktemp("whole")


def test_sweep_that_is_killed_again_and_again_is_whole_in_the_end(tmp_path: Path, whole: Path) -> None:
    kills = [Kill("opened", 1, TERM), Kill("epoch", 3, KILL), Kill("over", 1, INT), Kill("replacing", 1, KILL)]
    assert points_after(tmp_path, 6, kills) == uninterrupted(whole / "6", 6)


@pytest.mark.slow
@pytest.mark.real_process
@pytest.mark.parametrize("sweep", range(10))
def test_sixty_kills(tmp_path: Path, whole: Path, sweep: int) -> None:
    kills = ten_sweeps()
    assert sum(map(len, kills)) == 60
    met = {(kill.point, kill.signal) for each in kills for kill in each}
    assert met >= set(itertools.product(MIDDLE, (INT, TERM, KILL)))
    assert points_after(tmp_path, 20, kills[sweep]) == uninterrupted(whole / "20", 20)

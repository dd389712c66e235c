"""What is done is not done again, whoever has done it; what runs elsewhere is not started twice."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from finished_runs import Kexp

from kexp.sweeps.compare.results import read_sweep
from kexp.tracking import RunView, StoreSettings, search
from kexp.tracking.store.client import client_for

SMALL = [
    "data=random",
    "data.rows=40",
    "model=linear",
    "trainer.epochs=2",
    "trainer.batch_size=16",
    "save=none",
    "tracking.figures=false",
    "hydra/launcher=serial",
]
Told = Callable[[], str]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """What was said on both streams since it was last asked."""
    return lambda: "".join(capsys.readouterr())


def parents() -> list[RunView]:
    """The sweeps, the newest first."""
    return [view for view in search(StoreSettings()) if view.parent_run_id is None]


def children(parent: RunView) -> list[RunView]:
    return list(search(StoreSettings(), parent_run_id=parent.run_id))


def test_the_same_command_runs_nothing_and_rerun_runs_everything(
    workplace: Path, kexp_command: Kexp, told: Told
) -> None:
    assert kexp_command("-m", *SMALL, "seed=1,2") == 0
    (first,) = parents()
    before = {view.run_id for view in children(first)}
    told()
    assert kexp_command("-m", *SMALL, "seed=1,2") == 0
    assert "2 trials, 2 done already" in told()
    (same,) = parents()
    assert same.run_id == first.run_id
    assert {view.run_id for view in children(same)} == before
    assert kexp_command("-m", *SMALL, "seed=1,2", "sweep.rerun=true") == 0
    assert "2 trials, 2 to run" in told()
    again, kept = parents()
    assert kept.run_id == first.run_id and {view.run_id for view in children(kept)} == before
    assert Counter(view.status for view in children(again)) == {"FINISHED": 2}
    assert not before & {view.run_id for view in children(again)}


def test_sweeps_share_the_trials_that_they_have_in_common(workplace: Path, kexp_command: Kexp, told: Told) -> None:
    assert kexp_command(*SMALL[:-1], "seed=3", "trainer.verbose=0") == 0  # a run on its own counts as well
    assert kexp_command("-m", *SMALL, "seed=1,2", "sweep.name=small") == 0
    assert kexp_command("-m", *SMALL, "seed=range(5)", "sweep.name=large", "sweep.max_retries=3") == 0
    assert "5 trials, 3 done already, 2 to run" in told()
    large, small, _ = parents()
    assert sorted(view.params["seed"] for view in children(large)) == ["0", "4"]
    assert len(children(small)) == 2
    whole = read_sweep(StoreSettings(), "large")  # what `kexp compare` compares
    assert sorted(int(trial.params["seed"]) for trial in whole.trials) == [0, 1, 2, 3, 4]
    rows = (workplace / "multirun" / "large" / "trials.csv").read_text().splitlines()
    assert len(rows) == 1 + 5


def test_what_changes_the_result_is_run_again_and_what_does_not_is_not(
    workplace: Path, kexp_command: Kexp, told: Told
) -> None:
    assert kexp_command("-m", *SMALL, "seed=1,2") == 0
    told()
    assert kexp_command("-m", *SMALL, "seed=1,2", "trainer.checkpoint=false", "sweep.trial_timeout_s=90") == 0
    assert "2 done already" in told()
    assert kexp_command("-m", *SMALL, "seed=1,2", "optimizer.learning_rate=0.5") == 0
    assert "2 trials, 2 to run" in told()


def test_resume_needs_no_more_than_a_sweeps_name(workplace: Path, kexp_command: Kexp, told: Told) -> None:
    assert kexp_command("-m", *SMALL, "seed=1,2", "sweep.name=mine") == 0
    (sweep,) = parents()
    client = client_for(f"sqlite:///{workplace / 'mlflow.db'}")
    gone, kept = children(sweep)
    client.delete_run(gone.run_id)
    told()
    for ref in ("mine", sweep.run_id, sweep.run_id[:12], "latest"):
        assert kexp_command("resume", ref) == 0
        assert ("1 done already, 1 to run" if ref == "mine" else "2 trials, 2 done already") in told()
    assert len(parents()) == 1
    assert {view.params["seed"] for view in children(sweep)} == {"1", "2"}
    assert kexp_command("resume", "min") == 2
    assert "did you mean 'mine'?" in told()
    assert kexp_command("resume", kept.run_id) == 2
    assert "is a run and no sweep" in told()


def test_resume_takes_what_is_to_be_done_otherwise(workplace: Path, kexp_command: Kexp, told: Told) -> None:
    assert kexp_command("-m", *SMALL, "seed=1,2", "sweep.name=mine") == 0
    told()
    assert kexp_command("resume", "mine", "sweep.rerun=true") == 0
    assert "2 trials, 2 to run" in told()


@pytest.fixture
def running(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A sweep in a process of its own, of which a trial hangs, once."""
    small = [each for each in SMALL if each != "model=linear"]
    ends = ["model=bad_ends:model", "callbacks=[bad_ends:at]", "model.end=hang,x"]
    monkeypatch.setenv("BAD_ENDS_ONCE", str(workplace))
    (workplace / "bad_ends.py").write_text(Path(__file__).with_name("bad_ends.py").read_text())
    with open(workplace / "stderr.txt", "wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "kexp", "-m", *small, *ends, "sweep.name=mine"], stderr=errors
        )
    try:
        deadline = time.monotonic() + 120
        while not (workplace / "hang").exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def test_sweep_that_is_running_is_not_started_twice(
    running: subprocess.Popen[bytes], kexp_command: Kexp, told: Told
) -> None:
    assert kexp_command("resume", "mine") == 2
    assert re.search(
        rf"sweep: mine is running in process {running.pid} on \S+, and sent its last heartbeat \d+ s ago", told()
    )
    (sweep,) = parents()
    client = client_for(f"sqlite:///{Path('mlflow.db').absolute()}")
    deadline = time.monotonic() + 60
    while not client.list_artifacts(sweep.run_id, "sweep"):  # else it waits on disk still, for `kexp sync`
        assert time.monotonic() < deadline
        time.sleep(0.1)
    running.kill()
    running.wait()
    # It is RUNNING in the store still. Of a process of another machine, its last sign of life alone can tell.
    client.set_tag(sweep.run_id, "kexp.host", "another.example")
    assert kexp_command("resume", "mine") == 2
    assert f"is running in process {running.pid} on another.example" in told()
    client.set_tag(sweep.run_id, "kexp.heartbeat", str(time.time() - 200))
    assert kexp_command("resume", "mine") == 0
    assert "2 trials, 2 to run" in told()
    (sweep,) = parents()
    assert sweep.status == "FINISHED"
    assert Counter(view.status for view in children(sweep)) == {"FINISHED": 2}

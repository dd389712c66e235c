"""However a trial ends, it ends alone."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kexp.cli import main
from kexp.tracking import RunView, StoreSettings, metric_history, search

SMALL = [
    "data=random",
    "data.rows=40",
    "model=bad_ends:model",
    "callbacks=[bad_ends:at]",
    "trainer.epochs=3",
    "trainer.batch_size=16",
    "save=none",
    "tracking.figures=false",
]
ENDS = {
    "raise": ("INVALID", "this model was never meant to be"),
    "exit": ("FAILED", "the trial called sys.exit(3)"),
    "refuse": ("INVALID", "must be something else"),
    "in_the_middle": ("FAILED", "RuntimeError: in the middle"),
    "leave": ("FAILED", "the trial called sys.exit('enough')"),
    "gone": ("FAILED", "its process ended with exit code 7"),
    "kill": ("FAILED", "its process was killed (SIGKILL); out of memory, perhaps"),
    "term": ("FAILED", "its process ended with exit code 143"),
    "segv": ("FAILED", "its process died of SIGSEGV"),
    "hang": ("FAILED", "took longer than sweep.trial_timeout_s=25"),
    "memory": ("FAILED", "out of memory"),
    "tensor": ("FAILED", "out of memory"),
    "diverge": ("FAILED", "loss"),
}


@pytest.fixture
def place(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield workplace


def kexp(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def runs() -> tuple[RunView, list[RunView]]:
    everything = list(search(StoreSettings()))
    (parent,) = [view for view in everything if view.parent_run_id is None]
    return parent, [view for view in everything if view.parent_run_id == parent.run_id]


def test_twenty_trials_with_every_bad_end_among_them(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    well = [f"well{number}" for number in range(7)]
    ends = [*well[:4], *ENDS, *well[4:]]
    code = kexp(
        "-m",
        *SMALL,
        f"model.end={','.join(ends)}",
        "sweep.trial_timeout_s=25",
        "sweep.max_retries=0",
        "hydra/launcher=processes",
        "hydra.launcher.n_workers=2",
    )
    printed = capfd.readouterr()
    assert code == 1
    parent, trials = runs()
    assert parent.status == "FINISHED"
    by_end = {view.params["model.end"]: view for view in trials}
    assert len(trials) == len(by_end) == 18  # what cannot be built has no run: nothing of it was computed
    for end in well:
        assert by_end[end].status == "FINISHED", by_end[end].tags.get("kexp.reason")
        steps = [point.step for point in metric_history(StoreSettings(), by_end[end].run_id, "val_loss")]
        assert steps == [1, 2, 3]
    closing = printed.out.partition("did not finish")[2]
    for end, (state, reason) in ENDS.items():
        (line,) = [each for each in closing.splitlines() if f"model.end={end}]" in each]
        assert state in line and reason in line
        assert "trial.log" in line
        if state == "FAILED":
            assert by_end[end].status == "FAILED"
            assert reason in by_end[end].tags["kexp.reason"]
    middle = metric_history(StoreSettings(), by_end["kill"].run_id, "val_loss")
    assert [point.step for point in middle] == [1]  # what was measured before the end is kept
    assert "13 of 20 trials did not finish" in printed.out
    assert "kexp resume" in printed.err
    assert (place / parent.tags["kexp.folder"] / "report.html").is_file()


def test_crash_is_tried_again_and_an_error_is_not(
    place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAD_ENDS_ONCE", str(place))
    arguments = [*SMALL, "model.end=kill,in_the_middle"]
    workers = ["hydra/launcher=processes", "hydra.launcher.n_workers=1"]
    assert kexp("-m", *arguments, *workers, "sweep.max_retries=1") == 1
    _, trials = runs()
    states = {view.params["model.end"]: view.status for view in trials}
    assert states == {"kill": "FINISHED", "in_the_middle": "FAILED"}
    # The same command again: what failed is run again, and each trial is there once.
    assert kexp("-m", *arguments, "hydra/launcher=serial") == 0
    parent, trials = runs()
    assert Counter(view.status for view in trials) == {"FINISHED": 2}
    for view in trials:
        steps = [point.step for point in metric_history(StoreSettings(), view.run_id, "loss")]
        assert steps == [1, 2, 3]
    capfd.readouterr()
    name = parent.tags["kexp.sweep.name"]
    assert kexp("resume", name) == 0
    assert "2 done already" in capfd.readouterr().err


def test_serial_launcher_survives_what_it_can(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ends = ["exit", "hang", "memory", "diverge", "leave", "well"]
    code = kexp("-m", *SMALL, f"model.end={','.join(ends)}", "hydra/launcher=serial", "sweep.trial_timeout_s=15")
    assert code == 1
    _, trials = runs()
    found = {view.params["model.end"]: view for view in trials}
    assert {end: view.status for end, view in found.items()} == {**dict.fromkeys(ends, "FAILED"), "well": "FINISHED"}
    assert "sweep.trial_timeout_s=15" in found["hang"].tags["kexp.reason"]


def test_fail_fast_stops_the_sweep(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [*SMALL, "model.end=well,exit,well2,well3", "hydra/launcher=serial"]
    assert kexp("-m", *arguments, "sweep.fail_fast=true") == 1
    assert "2 of 4 trials were not run" in capfd.readouterr().out
    _, trials = runs()
    assert Counter(view.status for view in trials) == {"FINISHED": 1, "FAILED": 1}


def test_fail_fast_ends_what_runs_in_other_processes(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [*SMALL, "model.end=hang,in_the_middle,well,well2"]
    arguments += ["hydra/launcher=processes", "hydra.launcher.n_workers=2"]
    assert kexp("-m", *arguments, "sweep.fail_fast=true") == 1
    closing = capfd.readouterr().out
    assert "2 of 4 trials were not run" in closing
    _, trials = runs()
    reasons = {view.params["model.end"]: (view.status, view.tags["kexp.reason"]) for view in trials}
    assert reasons.keys() == {"hang", "in_the_middle"}
    assert reasons["hang"] == ("KILLED", "ended by sweep.fail_fast")
    state, reason = reasons["in_the_middle"]
    assert (state, reason.partition(" raises ")[2]) == ("FAILED", "RuntimeError: in the middle")


def test_worker_that_cannot_start_ends_the_sweep(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "broken" / "kexp").mkdir(parents=True)
    (place / "broken" / "kexp" / "__init__.py").write_text("raise ImportError('half of an upgrade')")
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import kexp.cli
sys.path.insert(0, {str(place / "broken")!r})
kexp.cli.main(["-m", *{SMALL!r}, "model.end=a,b,c,d,e,f", "hydra.launcher.n_workers=2"])
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 1
    assert "kexp: no worker process starts: its process ended with exit code 1: ImportError: half of an" in ended.stderr
    parent, _ = runs()
    assert parent.status == "FAILED"

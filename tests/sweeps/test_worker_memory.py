"""A worker's memory does not grow with the trials that it has run, nor that of a serial sweep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kexp.schema import Sweep
from kexp.sweeps.events import NoEvents
from kexp.sweeps.feed import Feed
from kexp.sweeps.launch.workers import WorkerPool
from kexp.sweeps.sweep_command import opened_sweeper
from kexp.sweeps.trials import Outcome, Task

pytestmark = pytest.mark.real_process

ARGUMENTS = ["hydra/launcher=processes", "model.hidden=[4]", "model.dropout=0.1", "trainer.epochs=1"]
FIRST = 4  # so many trials until all is imported, and memory that is freed is used again


def worker_mb() -> float:
    """Resident memory of the one worker."""
    children = psutil.Process().children()
    return max(
        each.memory_info().rss / 1e6 for each in children if "kexp.sweeps.launch.worker_process:work" in each.cmdline()
    )


@pytest.mark.parametrize(("count", "within"), [(7, 0.03), pytest.param(200, 0.1, marks=pytest.mark.slow)])
def test_memory_of_a_worker_is_flat(count: int, within: float, workplace: Path) -> None:
    with opened_sweeper([*ARGUMENTS, f"seed=range({count})"]) as (sweeper, swept):
        trials = sweeper.plan(swept)
    tasks = [
        Task(trial.number, trial.config, trial.overrides, f"trials/{trial.number}", str(trial.number))
        for trial in trials
    ]
    memory: list[float] = []
    states: list[str] = []

    class Ends(NoEvents):
        settings = Sweep(trial_timeout_s=60)

        def on_end(self, outcome: Outcome) -> bool:
            memory.append(worker_mb())
            states.append(outcome.state)
            return True

    WorkerPool(1).run(Feed(tasks), Ends())
    assert states == ["FINISHED"] * count
    assert memory[-1] < (1 + within) * memory[FIRST - 1], memory


@pytest.mark.slow
def test_memory_of_a_serial_sweep_is_flat(workplace: Path) -> None:
    told = ["hydra/launcher=serial", *ARGUMENTS[1:], "seed=range(30)", "save.keep=none"]
    command = [sys.executable, "-m", "kexp", "-m", *told]
    memory: list[float] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as sweep:
        assert sweep.stderr is not None
        for line in sweep.stderr:
            if "FINISHED" in line and line.startswith("trial"):
                memory.append(psutil.Process(sweep.pid).memory_info().rss / 1e6)
    assert sweep.returncode == 0
    third = len(memory) // 3  # of trials that end close to each other one is told
    assert third >= 3
    assert memory[-1] < 1.03 * memory[third], memory

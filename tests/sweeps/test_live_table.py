"""What is shown while a sweep runs: a guess of the time left once there is something to go by."""

from __future__ import annotations

import io
import re

import pytest

from kexp.sweeps import table
from kexp.sweeps.table import LiveTable
from kexp.sweeps.trials import Trial


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_no_time_is_guessed_before_other_trials_end_than_those_that_began_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(table, "time", clock)
    trials = [Trial(number, ()) for number in range(4096)]
    out = io.StringIO()
    shown = LiveTable(trials, None, out=out)

    def last() -> str:
        return out.getvalue().splitlines()[-1]

    clock.now += 3.0  # imports, and the program of the first eight lanes
    for trial in trials[:8]:
        trial.state, trial.attempts = "RUNNING", 1
    for trial in trials[:8]:
        trial.state = "FINISHED"
        shown.update(trial)
        clock.now += 0.001
    assert last() == "1/4096 trials"
    for trial in trials[8:200]:
        clock.now += 0.015
        trial.state, trial.attempts = "FINISHED", 1
        shown.update(trial)
    assert re.fullmatch(r"14\d/4096 trials  5\ds left", last())  # 15 ms a trial
    for trial in trials[200:]:
        trial.state, trial.attempts = "FINISHED", 1
    clock.now += 60
    shown.update(trials[-1])
    assert last() == "4096/4096 trials"


def test_of_trials_one_after_another_the_second_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(table, "time", clock)
    trials = [Trial(number, ()) for number in range(10)]
    out = io.StringIO()
    shown = LiveTable(trials, None, out=out)
    lines = []
    for trial in trials[:3]:
        trial.state, trial.attempts = "RUNNING", 1
        clock.now += 60 if trial.number else 75
        trial.state = "FINISHED"
        shown.update(trial)
        lines.append(out.getvalue().splitlines()[-1])
    assert lines == ["1/10 trials", "2/10 trials  8m00s left", "3/10 trials  7m00s left"]

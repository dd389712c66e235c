"""Text output of a sweep: the live table, the leaderboard and the list of problems."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TextIO

from kexp.config import as_typed
from kexp.sweeps.objective import Objective
from kexp.sweeps.trials import Trial
from kexp.system.notebook import updating_text
from kexp.training.progress import format_seconds

__all__ = ["LiveTable", "best_trial", "leaderboard", "own_overrides", "problems", "shared_overrides"]

_REDRAW_S = 0.2  # seconds between two drawings of the live table
_PLAIN_S = 2.0  # seconds between two status lines where the output is no terminal
_MOST_LINES = 20  # trials in the live table; elsewhere, sweeps up to this size get a line for each trial


class LiveTable:
    """Shows the running trials: a table that is redrawn in a terminal or notebook; elsewhere, a line for each end.

    Args:
        trials: all trials of the sweep.
        objective: the metric that decides the best trial; None until a metric is measured.
        verbose: 0 prints nothing.
        out: the stream to write to; standard error unless given.
        more: the most trials that a search will add.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        objective: Objective | None,
        verbose: int = 1,
        out: TextIO | None = None,
        more: int = 0,
    ) -> None:
        self.trials, self.objective, self.verbose = trials, objective, verbose
        self.out = out or sys.stderr
        self._show = updating_text() if verbose and out is None else None
        self.live = bool(verbose) and (self._show is not None or self.out.isatty())
        # Time of the first end, the number of trials that had ended, and that of trials that had ended or were running.
        self._first_end: tuple[float, int, int] | None = None
        self._to_run = sum(1 for trial in trials if trial.state == "WAITING") + more
        self._all = len(trials) + more
        self._drawn = 0.0
        self._lines = 0
        self._shared = shared_overrides(trials)

    def update(self, trial: Trial) -> None:
        """Updates the output after a change of a trial."""
        if not self.verbose:
            return
        if self.live:
            if time.monotonic() - self._drawn >= _REDRAW_S:
                self._draw()
        elif trial.over:
            due = time.monotonic() - self._drawn >= _PLAIN_S or all(each.over for each in reversed(self.trials))
            if due or self._to_run <= _MOST_LINES or trial.state != "FINISHED":
                self._write(self._line(trial) + "\n")
            if due:
                self._drawn = time.monotonic()
                self._write(self._status() + "\n")

    def close(self) -> None:
        """Draws the final state of the table."""
        if self.live:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        running = [trial for trial in self.trials if trial.state == "RUNNING"]
        lines = [self._line(trial) for trial in running[:_MOST_LINES]] + [self._status()]
        if self._show is not None:
            self._show("\n".join(lines))
            return
        width = max(20, shutil.get_terminal_size().columns - 1)
        up = f"\x1b[{self._lines}F" if self._lines else ""
        self._write(up + "\x1b[J" + "".join(line[:width] + "\n" for line in lines))
        self._lines = len(lines)

    def _line(self, trial: Trial) -> str:
        value = self._value(trial)
        line = f"trial {trial.number:>4}  {trial.state:<8}  epoch {trial.epoch:>4}"
        if value is not None:
            line += f"  {self.objective.metric if self.objective else ''} {value:.4g}"
        if trial.reason and trial.state not in ("FINISHED", "DONE"):
            line += f"  {trial.reason}"
        return f"{line}  {own_overrides(trial, self._shared)}"

    def _status(self) -> str:
        counts = Counter(trial.state for trial in self.trials)
        over = sum(1 for trial in self.trials if trial.over and trial.attempts)
        remaining_s = self._remaining_s(over, counts["RUNNING"])
        parts = [f"{sum(1 for t in self.trials if t.over)}/{max(self._all, len(self.trials))} trials"]
        parts += [
            f"{counts[state]} {state.lower()}" for state in ("FAILED", "PRUNED", "KILLED", "INVALID") if counts[state]
        ]
        objective = self.objective
        best = None if objective is None else best_trial(self.trials, objective)
        if objective is not None and best is not None:
            parts.append(f"best {objective.metric} {best.metrics[objective.metric]:.4g} (trial {best.number})")
        parts.append("" if remaining_s is None else f"{format_seconds(remaining_s)} left")
        return "  ".join(part for part in parts if part)

    def _remaining_s(self, over: int, running: int) -> float | None:
        """Estimates the seconds until the last trial ends; None while it cannot be estimated.

        The first trials take longer, because they wait for imports and compilation. The estimate therefore counts from
        the first end, and is made only once a trial has ended that started after it.
        """
        if not over:
            return None
        if self._first_end is None:
            self._first_end = time.monotonic(), over, over + running
        since, ended, begun = self._first_end
        if not begun < over < self._to_run:
            return None
        return (time.monotonic() - since) / (over - ended) * (self._to_run - over)

    def _value(self, trial: Trial) -> float | None:
        return None if self.objective is None else trial.metrics.get(self.objective.metric)

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


def shared_overrides(trials: Sequence[Trial]) -> set[str]:
    """Returns the overrides that all trials have; empty for a single trial."""
    if len(trials) < 2:
        return set()
    return set.intersection(*(set(trial.overrides) for trial in trials))


def best_trial(trials: Sequence[Trial], objective: Objective) -> Trial | None:
    """Returns the trial with the best value of the objective; None if no trial has a value."""
    found = [each for each in trials if each.whole and not math.isnan(each.metrics.get(objective.metric, math.nan))]
    return min(found, key=lambda each: objective.rank_key(each.metrics[objective.metric]), default=None)


def leaderboard(
    trials: Sequence[Trial], objective: Objective, values: Mapping[int, float], most: int = 10
) -> list[str]:
    """Returns a table of the best trials, one line for each after the header.

    Args:
        trials: all trials of the sweep.
        objective: the metric to rank by.
        values: trial number -> objective, for trials that have a result.
        most: the most trials to list.
    """
    ranked = sorted(
        (trial for trial in trials if trial.number in values),
        key=lambda trial: objective.rank_key(values[trial.number]),
    )
    shared = shared_overrides(trials)
    lines = [f"{'rank':>4}  {'trial':>5}  {objective.metric:>12}  overrides"]
    for rank, trial in enumerate(ranked[:most], 1):
        lines.append(f"{rank:>4}  {trial.number:>5}  {values[trial.number]:>12.5g}  {own_overrides(trial, shared)}")
    return lines if ranked else []


def problems(trials: Sequence[Trial]) -> list[str]:
    """Returns a line for each trial that failed: its state, the reason, its overrides and its log file."""
    lines = []
    shared = shared_overrides(trials)
    for trial in trials:
        if trial.over and not trial.good:
            log = trial.folder / "trial.log"
            file = f"  (log: {os.path.relpath(log)})" if log.is_file() else ""
            own = own_overrides(trial, shared)
            lines.append(f"trial {trial.number}  {trial.state}  {trial.reason}  [{own}]{file}")
    return lines


def own_overrides(trial: Trial, shared: set[str]) -> str:
    """Returns a trial's overrides as typed, except those in `shared`."""
    return " ".join(as_typed(each) for each in trial.overrides if each not in shared)

"""What a person sees of a sweep while it runs and when it ends."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TextIO

from kexp.config import as_typed
from kexp.notebook import standing_text
from kexp.sweeps.objective import Objective
from kexp.sweeps.trials import Trial
from kexp.training.progress import format_seconds

__all__ = ["LiveTable", "leaderboard", "problems", "shared_overrides", "told"]

_REDRAW_S = 0.2
_PLAIN_S = 2.0
_SHOWN = 20


class LiveTable:
    """Trials as they run: a table that redraws itself in a terminal or a notebook, a line for each end elsewhere.

    Args:
        trials: all of the sweep's.
        objective: what the best is judged by; None until a metric is known.
        verbose: 0 silent.
        out: where to write; standard error unless given.
        more: how many trials a search will add at most.
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
        self._show = standing_text() if verbose and out is None else None
        self.live = bool(verbose) and (self._show is not None or self.out.isatty())
        self._first_end: tuple[float, int, int] | None = (
            None  # when that was seen, how many had ended, and with running
        )
        self._to_run = sum(1 for trial in trials if trial.state == "WAITING") + more
        self._all = len(trials) + more
        self._drawn = 0.0
        self._lines = 0
        self._shared = shared_overrides(trials)

    def update(self, trial: Trial) -> None:
        """Something about a trial has changed."""
        if not self.verbose:
            return
        if self.live:
            if time.monotonic() - self._drawn >= _REDRAW_S:
                self._draw()
        elif trial.over:
            due = time.monotonic() - self._drawn >= _PLAIN_S or all(each.over for each in self.trials)
            if due or self._few() or trial.state != "FINISHED":
                self._write(self._line(trial) + "\n")
            if due:
                self._drawn = time.monotonic()
                self._write(self._status() + "\n")

    def close(self) -> None:
        """Leaves the last picture standing."""
        if self.live:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        running = [trial for trial in self.trials if trial.state == "RUNNING"]
        lines = [self._line(trial) for trial in running[:_SHOWN]] + [self._status()]
        if self._show is not None:
            self._show("\n".join(lines))
            return
        width = max(20, _columns() - 1)
        up = f"\x1b[{self._lines}F" if self._lines else ""
        self._write(up + "\x1b[J" + "".join(line[:width] + "\n" for line in lines))
        self._lines = len(lines)

    def _line(self, trial: Trial) -> str:
        value = self._value(trial)
        words = f"trial {trial.number:>4}  {trial.state:<8}  epoch {trial.epoch:>4}"
        if value is not None:
            words += f"  {self.objective.metric if self.objective else ''} {value:.4g}"
        if trial.reason and trial.state not in ("FINISHED", "DONE"):
            words += f"  {trial.reason}"
        return f"{words}  {told(trial, self._shared)}"

    def _status(self) -> str:
        counts = Counter(trial.state for trial in self.trials)
        over = sum(1 for trial in self.trials if trial.over and trial.attempts)
        left = self._left_s(over, counts["RUNNING"])
        words = [f"{sum(1 for t in self.trials if t.over)}/{max(self._all, len(self.trials))} trials"]
        words += [
            f"{counts[state]} {state.lower()}" for state in ("FAILED", "PRUNED", "KILLED", "INVALID") if counts[state]
        ]
        best = self._best()
        if best is not None and self.objective is not None:
            words.append(f"best {self.objective.metric} {self._value(best):.4g} (trial {best.number})")
        words.append("" if left is None else f"{format_seconds(left)} left")
        return "  ".join(word for word in words if word)

    def _left_s(self, over: int, running: int) -> float | None:
        """Seconds until the last trial; None while there is nothing to go by.

        Those that run beside the first to end begin with what others need not wait for: imports, compilation. So time
        counts from the first end, and from when another trial ends than those.
        """
        if not over:
            return None
        if self._first_end is None:
            self._first_end = time.monotonic(), over, over + running
        since, ended, beside = self._first_end
        if not beside < over < self._to_run:
            return None
        return (time.monotonic() - since) / (over - ended) * (self._to_run - over)

    def _best(self) -> Trial | None:
        known = [trial for trial in self.trials if trial.whole and self._value(trial) is not None]
        if not known or self.objective is None:
            return None
        key = self.objective.rank_key
        return min(known, key=lambda trial: key(trial.metrics[self.objective.metric]))  # type: ignore[union-attr]

    def _value(self, trial: Trial) -> float | None:
        return None if self.objective is None else trial.metrics.get(self.objective.metric)

    def _few(self) -> bool:
        return self._to_run <= _SHOWN

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


def shared_overrides(trials: Sequence[Trial]) -> set[str]:
    """The overrides that all trials have, and that tell none from another. Of a single trial, none."""
    if len(trials) < 2:
        return set()
    return set.intersection(*(set(trial.overrides) for trial in trials))


def leaderboard(
    trials: Sequence[Trial], objective: Objective, values: Mapping[int, float], most: int = 10
) -> list[str]:
    """The best trials, a line each.

    Args:
        trials: all of the sweep's.
        objective: what they are ranked by.
        values: the objective of each trial that has a result, by its number.
        most: at most so many lines.
    """
    ranked = sorted(
        (trial for trial in trials if trial.number in values),
        key=lambda trial: objective.rank_key(values[trial.number]),
    )
    shared = shared_overrides(trials)
    lines = [f"{'rank':>4}  {'trial':>5}  {objective.metric:>12}  overrides"]
    for rank, trial in enumerate(ranked[:most], 1):
        lines.append(f"{rank:>4}  {trial.number:>5}  {values[trial.number]:>12.5g}  {told(trial, shared)}")
    return lines if ranked else []


def problems(trials: Sequence[Trial]) -> list[str]:
    """The trials that did not end as they should: state, first line of the reason, where the log is."""
    lines = []
    shared = shared_overrides(trials)
    for trial in trials:
        if trial.over and not trial.good:
            log = trial.folder / "trial.log"
            where = f"  (log: {os.path.relpath(log)})" if log.is_file() else ""
            lines.append(f"trial {trial.number}  {trial.state}  {trial.reason}  [{told(trial, shared)}]{where}")
    return lines


def told(trial: Trial, shared: set[str]) -> str:
    """What sets a trial apart, as it was typed; `shared` is what all trials have."""
    return " ".join(as_typed(each) for each in trial.overrides if each not in shared)


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns

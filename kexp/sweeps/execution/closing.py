"""Finishes a sweep: logs the summary to its run, compares the trials, and writes the report."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.config import key_of
from kexp.errors import KexpError, in_a_line
from kexp.sweeps.compare.results import SHARED_TRIALS, Histories, TrialResult, histories_of, read_sweep
from kexp.sweeps.execution.state import SweepState
from kexp.sweeps.table import best_trial, leaderboard, problems
from kexp.system.disk import full_disk, is_disk_full
from kexp.system.wording import counted
from kexp.tracking.reading.finding import BEST_TRIAL
from kexp.tracking.values import param_value

if TYPE_CHECKING:
    from kexp.schema import Tracking
    from kexp.sweeps.compare.comparison import Comparison
    from kexp.sweeps.trials import Trial
    from kexp.tracking import Tracker

__all__ = ["Report", "closing_lines", "describe", "ranking", "run_id_of", "summarise"]

_MOST_ROWS = 10  # of the ranking at the end of a sweep
_MOST_VALUES = 20  # values of a swept key that are listed; above it, their number is logged
_MORE = "\n\nMore is in `report.md`, among the artifacts.\n"
_LONGEST_NOTE = 8000 - len(_MORE)  # characters of a tag


def summarise(sweep: SweepState, tracker: Tracker) -> None:
    """Logs to the sweep's run how many trials are in each state, the objective, the best trial and its metrics."""
    counts = Counter(trial.state for trial in sweep.trials)
    states = {f"kexp.sweep.{state.lower()}": count for state, count in counts.items()}
    tracker.set_tags({"kexp.sweep.trials": len(sweep.trials), **states})
    objective = sweep.objective
    if objective is not None:
        tracker.set_tags({"kexp.sweep.objective": objective.metric, "kexp.sweep.direction": objective.direction})
        best = best_trial(sweep.trials, objective)
        if best is not None:
            tracker.set_tags({BEST_TRIAL: best.run_id})
            if all(trial.good for trial in sweep.trials):  # else a resumed sweep might have to change a parameter
                tracker.log_params(space(sweep, best))
            tracker.log_metrics({f"best_{key}": value for key, value in best.metrics.items()}, step=0)
    shared = [trial.run_id for trial in sweep.trials if trial.state == "DONE"]
    if shared:
        tracker.log_text("\n".join(dict.fromkeys(shared)), SHARED_TRIALS)


def space(sweep: SweepState, best: Trial) -> dict[str, Any]:
    """Returns the values of each swept key, and the best trial's value of it as `best_KEY`."""
    from kexp.experiment import run_parameters

    params = [run_parameters(trial.config, trial.overrides) for trial in sweep.trials if trial.config]
    varied: dict[str, dict[str, None]] = {}
    for key in dict.fromkeys(key for each in params for key in each):
        values = dict.fromkeys(param_value(each.get(key)) for each in params)
        if len(values) > 1:
            varied[key] = values
    named = {key for key in varied if {key, key.removesuffix(".name")} & {key_of(each) for each in sweep.arguments}}
    if named:  # other keys vary as a consequence, such as parameters that only one optimizer has
        varied = {key: values for key, values in varied.items() if key in named}
    given = {key_of(each): each.partition("=")[2] for each in sweep.arguments}
    chosen = run_parameters(best.config, best.overrides)
    return {
        **{
            key: given.get(key) or given.get(key.removesuffix(".name")) or _list_values(list(values))
            for key, values in varied.items()
        },
        **{f"best_{key}": chosen[key] for key in varied if key in chosen},
    }


def _list_values(values: list[str]) -> str:
    return ",".join(values) if len(values) <= _MOST_VALUES else f"{len(values)} values"


def describe(tracker: Tracker, tracking: Tracking, files: list[Path]) -> None:
    """Sets the text of the report as the description of the sweep's run, up to MLflow's length limit."""
    from kexp.experiment import NOTE

    report = next((file for file in files if file.suffix == ".md"), None)
    if report is None:
        return
    # Without its heading, the run's name, which the page shows anyway.
    _, _, text = report.read_text(encoding="utf-8").partition("\n\n")
    text = text if tracking.description is None else f"{tracking.description}\n\n{text}"
    if len(text) > _LONGEST_NOTE:
        text = text[: text.rfind("\n", 0, _LONGEST_NOTE)] + _MORE
    tracker.set_tags({NOTE: text})


def ranking(sweep: SweepState, comparison: Comparison | None) -> list[str]:
    """Returns the lines of the ranking: of choices as by `kexp compare`, or of trials if each choice ran once."""
    from kexp.sweeps.report import ranked_lines, screen_width

    if sweep.objective is None or comparison is None:
        return []
    if not comparison.single:
        return ranked_lines(comparison, screen_width(), _MOST_ROWS, sweep.compare_command)
    by_run = {trial.run_id: row.values[seed] for row in comparison.rows for seed, trial in row.trials.items()}
    values = {trial.number: by_run[run_id] for trial in sweep.trials if (run_id := run_id_of(trial)) in by_run}
    return leaderboard(sweep.trials, comparison.objective, values, _MOST_ROWS)


class Report:
    """Compares a sweep's trials and writes the report, in a background thread.

    Args:
        sweep: the sweep; errors are added to its notices.
    """

    def __init__(self, sweep: SweepState) -> None:
        self._sweep = sweep
        self._thread: threading.Thread | None = None
        self._files: list[Path] = []
        self._comparison: Comparison | None = None

    def begin(self, after: Callable[[], object] = bool) -> None:
        """Starts the thread.

        Args:
            after: called first; returns when the store has all trials.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, args=[after], name="kexp-report", daemon=True)
            self._thread.start()

    def files(self) -> list[Path]:
        """Waits for the thread, and returns the written files; empty if writing failed."""
        if self._thread is not None:
            self._thread.join()
        return self._files

    def comparison(self) -> Comparison | None:
        """Waits for the thread, and returns the comparison; None if no trial was recorded."""
        if self._thread is not None:
            self._thread.join()
        if self._comparison is None:
            with contextlib.suppress(KexpError):  # no trial has started, or the objective has no direction
                begun = [trial for trial in self._sweep.trials if trial.state not in ("WAITING", "INVALID")]
                self._comparison = _compare(self._sweep, list(map(_result, begun)))
        return self._comparison

    def _write(self, after: Callable[[], object]) -> None:
        notices = self._sweep.notices
        try:
            after()
            self._files = self._write_files()
        except KexpError as error:
            notices.append(f"there is no report: {error}")
        except Exception as error:  # a failed figure must not fail the sweep
            why = full_disk(error) if is_disk_full(error) else in_a_line(error)
            notices.append(f"there is no report: {why}")

    def _write_files(self) -> list[Path]:
        """Writes `report.html`, `report.md` and `trials.csv` from the store.

        Raises:
            KexpError: there is nothing to report, or the store cannot be read.
        """
        from kexp.sweeps.report import write_report

        sweep = self._sweep
        assert sweep.store is not None
        # Read from the session, because the list in the sweep's run may not be written yet.
        shared = [trial.run_id for trial in sweep.trials if trial.state == "DONE"]
        trials = read_sweep(sweep.store, sweep.run_id, shared=shared).trials
        if not trials:
            return []
        histories = histories_of(sweep.store, sweep.folder)
        self._comparison = _compare(sweep, trials, histories)
        self._comparison.notes.extend(sweep.remarks)
        page = write_report(sweep.folder, self._comparison, histories, sweep.objectives)
        return [page, page.with_name("report.md"), page.with_name("trials.csv")]


def _compare(sweep: SweepState, trials: list[TrialResult], histories: Histories | None = None) -> Comparison:
    from kexp.sweeps.compare_sweeps import compare_trials

    objective = sweep.objective
    return compare_trials(
        trials,
        histories=histories,
        title=sweep.name,
        metrics=[each.metric for each in sweep.objectives] if len(sweep.objectives) > 1 else None,
        objective=objective.metric if objective else None,
        direction=objective.direction if objective else None,
    )


def closing_lines(sweep: SweepState, comparison: Comparison | None, launched: Sequence[str]) -> list[str]:
    """Returns the lines at the end of a sweep: the ranking, how trials were launched, and what went wrong.

    Args:
        sweep: the sweep.
        comparison: its ranked choices; None if nothing was measured.
        launched: the lines of its launcher, and of the trials' notices and saved models.
    """
    lines = ranking(sweep, comparison)
    lines += ["", *launched] if launched else []
    lines += ["", *sweep.remarks] if sweep.remarks else []
    failed = problems(sweep.trials)
    if failed:
        lines += [
            "",
            f"{len(failed)} of {counted(len(sweep.trials), 'trial')} did not finish:",
            *failed,
        ]
    never = sum(1 for trial in sweep.trials if not trial.over)
    if never:
        lines += ["", f"{never} of {counted(len(sweep.trials), 'trial')} were not run"]
    return lines


def run_id_of(trial: Trial) -> str:
    """Returns the id of a trial in a comparison: its run id, or its number if it is not tracked."""
    return trial.run_id or f"trial {trial.number}"


def _result(trial: Trial) -> TrialResult:
    """Converts a trial of this process to a result."""
    from kexp.experiment import run_parameters

    return TrialResult(
        run_id_of(trial),
        f"trial {trial.number}",
        "FINISHED" if trial.whole else trial.state,
        run_parameters(trial.config, trial.overrides),
        trial.metrics,
        trial.reason,
        trial.fingerprint,
        trial.duration_s,
        trial.started_ms,
        trial.overrides,
    )

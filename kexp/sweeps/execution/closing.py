"""Finish a sweep: log the summary to its run, compare the trials, and write the report."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kexp.config import key_of
from kexp.errors import KexpError
from kexp.sweeps.compare.results import SHARED_TRIALS, Histories, TrialResult, histories_of, read_sweep
from kexp.sweeps.objective import Objective
from kexp.sweeps.table import leaderboard, problems
from kexp.tracking.reading.finding import BEST_TRIAL
from kexp.tracking.values import param_value

if TYPE_CHECKING:
    from kexp.schema import Tracking
    from kexp.sweeps.compare.comparison import Comparison
    from kexp.sweeps.trials import Trial
    from kexp.tracking import StoreSettings, Tracker

__all__ = ["Report", "best_trial", "closing_lines", "describe", "ranking", "run_id_of", "summarise"]

_MOST_VALUES = 20  # values of a swept key that are listed; above it, their number is logged
_MORE = "\n\nMore is in `report.md`, among the artifacts.\n"
_LONGEST_NOTE = 8000 - len(_MORE)  # characters of a tag


class Swept(Protocol):
    """The interface of a finished sweep that this module reads; a `Session` has it."""

    trials: list[Trial]
    arguments: tuple[str, ...]
    objectives: Sequence[Objective]
    name: str
    folder: Path
    notices: list[str]
    remarks: list[str]
    run_id: str
    store: StoreSettings | None

    @property
    def objective(self) -> Objective | None:
        """The first of the objectives."""

    @property
    def comparison(self) -> Comparison | None:
        """The ranked choices."""

    @property
    def compare_command(self) -> str:
        """The command that compares the trials again."""

    def value(self, trial: Trial) -> float | None:
        """Returns a trial's value of the objective."""


def summarise(session: Swept, tracker: Tracker) -> None:
    """Log to the sweep's run how many trials are in each state, the objective, the best trial and its metrics."""
    counts: dict[str, int] = {}
    for trial in session.trials:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    states = {f"kexp.sweep.{state.lower()}": count for state, count in counts.items()}
    tracker.set_tags({"kexp.sweep.trials": len(session.trials), **states})
    objective = session.objective
    if objective is not None:
        tracker.set_tags({"kexp.sweep.objective": objective.metric, "kexp.sweep.direction": objective.direction})
        best = best_trial(session)
        if best is not None:
            tracker.set_tags({BEST_TRIAL: best.run_id})
            if all(trial.good for trial in session.trials):  # else a resumed sweep might have to change a parameter
                tracker.log_params(space(session, best))
            tracker.log_metrics({f"best_{key}": value for key, value in best.metrics.items()}, step=0)
    shared = [trial.run_id for trial in session.trials if trial.state == "DONE"]
    if shared:
        tracker.log_text("\n".join(dict.fromkeys(shared)), SHARED_TRIALS)


def space(session: Swept, best: Trial) -> dict[str, Any]:
    """Return the values of each swept key, and the best trial's value of it as `best_KEY`."""
    from kexp.experiment import run_parameters

    params = [run_parameters(trial.config, trial.overrides) for trial in session.trials if trial.config]
    varied: dict[str, dict[str, None]] = {}
    for key in dict.fromkeys(key for each in params for key in each):
        values = dict.fromkeys(param_value(each.get(key)) for each in params)
        if len(values) > 1:
            varied[key] = values
    named = {key for key in varied if {key, key.removesuffix(".name")} & {key_of(each) for each in session.arguments}}
    if named:  # other keys vary as a consequence, such as parameters that only one optimizer has
        varied = {key: values for key, values in varied.items() if key in named}
    given = {key_of(each): each.partition("=")[2] for each in session.arguments}
    chosen = run_parameters(best.config, best.overrides)
    return {
        **{
            key: given.get(key) or given.get(key.removesuffix(".name")) or _listed(list(values))
            for key, values in varied.items()
        },
        **{f"best_{key}": chosen[key] for key in varied if key in chosen},
    }


def _listed(values: list[str]) -> str:
    return ",".join(values) if len(values) <= _MOST_VALUES else f"{len(values)} values"


def describe(tracker: Tracker, tracking: Tracking, files: list[Path]) -> None:
    """Set the text of the report as the description of the sweep's run, up to MLflow's length limit."""
    from kexp.experiment import NOTE

    report = next((file for file in files if file.suffix == ".md"), None)
    if report is None:
        return
    text = report.read_text(encoding="utf-8").partition("\n\n")[2]  # its heading is the run's name, which stands above
    text = text if tracking.description is None else f"{tracking.description}\n\n{text}"
    if len(text) > _LONGEST_NOTE:
        text = text[: text.rfind("\n", 0, _LONGEST_NOTE)] + _MORE
    tracker.set_tags({NOTE: text})


def best_trial(session: Swept) -> Trial | None:
    """Return the trial with the best value of the objective; None if no trial has a value."""
    objective = session.objective
    if objective is None:
        return None
    ranked = [
        (objective.rank_key(value), trial.number, trial)
        for trial in session.trials
        if trial.whole and (value := session.value(trial)) is not None and not math.isnan(value)
    ]
    return min(ranked, key=lambda each: each[:2])[2] if ranked else None


def ranking(session: Swept, most: int = 10) -> list[str]:
    """Return the lines of the ranking: of choices as by `kexp compare`, or of trials if each choice ran once."""
    from kexp.sweeps.report import ranked_lines, screen_width

    comparison = session.comparison
    if session.objective is None or comparison is None:
        return []
    if not comparison.single:
        return ranked_lines(comparison, screen_width(), most, session.compare_command)
    by_run = {trial.run_id: row.values[seed] for row in comparison.rows for seed, trial in row.trials.items()}
    values = {trial.number: by_run[run_id] for trial in session.trials if (run_id := run_id_of(trial)) in by_run}
    return leaderboard(session.trials, comparison.objective, values, most)


class Report:
    """Compares a sweep's trials and writes the report, in a background thread.

    Args:
        session: the sweep; errors are added to its notices.
    """

    def __init__(self, session: Swept) -> None:
        self._session = session
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
                self._comparison = _compared(self._session, [_result(trial) for trial in _begun(self._session)])
        return self._comparison

    def _write(self, after: Callable[[], object]) -> None:
        notices = self._session.notices
        try:
            after()
            self._files = self._write_files()
        except KexpError as error:
            notices.append(f"there is no report: {error}")
        except Exception as error:  # a failed figure must not fail the sweep
            notices.append(f"there is no report: {type(error).__name__}: {error}")

    def _write_files(self) -> list[Path]:
        """Writes `report.html`, `report.md` and `trials.csv` from the store.

        Raises:
            KexpError: there is nothing to report, or the store cannot be read.
        """
        from kexp.sweeps.report import write_report

        session = self._session
        assert session.store is not None
        # Read from the session, because the list in the sweep's run may not be written yet.
        shared = [trial.run_id for trial in session.trials if trial.state == "DONE"]
        trials = read_sweep(session.store, session.run_id, shared=shared).trials
        if not trials:
            return []
        histories = histories_of(session.store, session.folder)
        self._comparison = _compared(session, trials, histories)
        self._comparison.notes.extend(session.remarks)
        page = write_report(session.folder, self._comparison, histories, objectives=session.objectives)
        return [page, page.with_name("report.md"), page.with_name("trials.csv")]


def _compared(session: Swept, trials: list[TrialResult], histories: Histories | None = None) -> Comparison:
    from kexp.sweeps.comparing import compare_trials

    objective = session.objective
    return compare_trials(
        trials,
        histories=histories,
        title=session.name,
        metrics=[each.metric for each in session.objectives] if len(session.objectives) > 1 else None,
        objective=objective.metric if objective else None,
        direction=objective.direction if objective else None,
    )


def _begun(session: Swept) -> list[Trial]:
    """Return the trials that have started."""
    return [trial for trial in session.trials if trial.state not in ("WAITING", "INVALID")]


def closing_lines(session: Swept, launched: Sequence[str]) -> list[str]:
    """Return the lines at the end of a sweep: the ranking, how trials were launched, and what went wrong.

    Args:
        session: the sweep.
        launched: the lines of its launcher, and of what was decided and saved.
    """
    lines = ranking(session)
    lines += ["", *launched] if launched else []
    lines += ["", *session.remarks] if session.remarks else []
    wrong = problems(session.trials)
    if wrong:
        lines += ["", f"{len(wrong)} of {len(session.trials)} trials did not finish:", *wrong]
    never = sum(1 for trial in session.trials if not trial.over)
    if never:
        lines += ["", f"{never} of {len(session.trials)} trials were not run"]
    return lines


def run_id_of(trial: Trial) -> str:
    """Return the id of a trial in a comparison: its run id, or its number if it is not tracked."""
    return trial.run_id or f"trial {trial.number}"


def _result(trial: Trial) -> TrialResult:
    """Convert a trial of this process to a result."""
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

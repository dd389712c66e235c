"""What a sweep leaves to read: its run's summary, its comparison, and the report, in its folder and among artifacts."""

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
from kexp.sweeps.table import leaderboard
from kexp.tracking.finding import BEST_TRIAL
from kexp.tracking.values import param_value

if TYPE_CHECKING:
    from kexp.schema import Tracking
    from kexp.sweeps.compare.comparison import Comparison
    from kexp.sweeps.trials import Trial
    from kexp.tracking import StoreSettings, Tracker

__all__ = ["Report", "best_trial", "describe", "ranking", "run_id_of", "summarise"]

_MOST_VALUES = 20  # of a key that was swept over, listed
_MORE = "\n\nMore is in `report.md`, among the artifacts.\n"
_LONGEST_NOTE = 8000 - len(_MORE)  # characters of a tag


class Swept(Protocol):
    """What is read of a sweep that is over: a `Session`."""

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
        """The command that ranks them again."""

    def value(self, trial: Trial) -> float | None:
        """A trial's value of the objective."""


def summarise(session: Swept, tracker: Tracker) -> None:
    """Tells a sweep's own run what became of its trials, and the best value of its objective."""
    counts: dict[str, int] = {}
    for trial in session.trials:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    told = {f"kexp.sweep.{state.lower()}": count for state, count in counts.items()}
    tracker.set_tags({"kexp.sweep.trials": len(session.trials), **told})
    objective = session.objective
    if objective is not None:
        tracker.set_tags({"kexp.sweep.objective": objective.metric, "kexp.sweep.direction": objective.direction})
        best = best_trial(session)
        if best is not None:
            tracker.set_tags({BEST_TRIAL: best.run_id})
            if all(trial.good for trial in session.trials):  # a parameter cannot change later
                tracker.log_params(space(session, best))
            tracker.log_metrics({f"best_{key}": value for key, value in best.metrics.items()}, step=0)
    shared = [trial.run_id for trial in session.trials if trial.state == "DONE"]
    if shared:
        tracker.log_text("\n".join(dict.fromkeys(shared)), SHARED_TRIALS)


def space(session: Swept, best: Trial) -> dict[str, Any]:
    """What was swept over, by key, and of that what the best trial has, as `best_KEY`."""
    from kexp.experiment import run_parameters

    params = [run_parameters(trial.config, trial.overrides) for trial in session.trials if trial.config]
    varied: dict[str, dict[str, None]] = {}
    for key in dict.fromkeys(key for each in params for key in each):
        values = dict.fromkeys(param_value(each.get(key)) for each in params)
        if len(values) > 1:
            varied[key] = values
    named = {key for key in varied if {key, key.removesuffix(".name")} & {key_of(each) for each in session.arguments}}
    if named:  # the others follow from these: parameters that only one optimizer has
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
    """Gives a sweep's run the conclusion and the table of its report as its description, as far as MLflow takes it."""
    from kexp.experiment import NOTE

    report = next((file for file in files if file.suffix == ".md"), None)
    if report is None:
        return
    text = report.read_text(encoding="utf-8")
    text = text if tracking.description is None else f"{tracking.description}\n\n{text}"
    if len(text) > _LONGEST_NOTE:
        text = text[: text.rfind("\n", 0, _LONGEST_NOTE)] + _MORE
    tracker.set_tags({NOTE: text})


def best_trial(session: Swept) -> Trial | None:
    """The trial with the best value of the objective, whose model is kept first; None where none has one."""
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
    """The best choices over their seeds, as `kexp compare` ranks them; of one seed each, the best trials."""
    from kexp.sweeps.report import ranked_lines, screen_width

    comparison = session.comparison
    if session.objective is None or comparison is None:
        return []
    if not comparison.single:
        return ranked_lines(comparison, screen_width(), most, session.compare_command)
    known = {trial.run_id: row.values[seed] for row in comparison.rows for seed, trial in row.trials.items()}
    values = {trial.number: known[run_id] for trial in session.trials if (run_id := run_id_of(trial)) in known}
    return leaderboard(session.trials, comparison.objective, values, most)


class Report:
    """A sweep's comparison, and the report of it, written in the background.

    Args:
        session: the sweep; what goes wrong is among its notices.
    """

    def __init__(self, session: Swept) -> None:
        self._session = session
        self._thread: threading.Thread | None = None
        self._files: list[Path] = []
        self._comparison: Comparison | None = None

    def begin(self, after: Callable[[], object] = bool) -> None:
        """Starts on it, once `after` has returned: the store has all trials by then."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, args=[after], name="kexp-report", daemon=True)
            self._thread.start()

    def files(self) -> list[Path]:
        """What was written, when it is; nothing where it could not be."""
        if self._thread is not None:
            self._thread.join()
        return self._files

    def comparison(self) -> Comparison | None:
        """The ranked choices, of the store where there is one; None where no trial was recorded."""
        if self._thread is not None:
            self._thread.join()
        if self._comparison is None:
            with contextlib.suppress(KexpError):  # no trial has begun, or the objective has no direction
                self._comparison = _compared(self._session, [_result(trial) for trial in _begun(self._session)])
        return self._comparison

    def _write(self, after: Callable[[], object]) -> None:
        notices = self._session.notices
        try:
            after()
            self._files = self._write_files()
        except KexpError as error:
            notices.append(f"there is no report: {error}")
        except Exception as error:  # a drawing that fails must not cost the sweep
            notices.append(f"there is no report: {type(error).__name__}: {error}")

    def _write_files(self) -> list[Path]:
        """Writes `report.html`, `report.md` and `trials.csv` over what the store has of the sweep.

        Raises:
            KexpError: there is nothing to report, or the store cannot be read.
        """
        from kexp.sweeps.report import write_report

        session = self._session
        assert session.store is not None
        shared = [
            trial.run_id for trial in session.trials if trial.state == "DONE"
        ]  # its own run's list may be under way
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
    """The trials that a store would have."""
    return [trial for trial in session.trials if trial.state not in ("WAITING", "INVALID")]


def run_id_of(trial: Trial) -> str:
    """The id by which a comparison knows a trial; its number's where nothing is recorded."""
    return trial.run_id or f"trial {trial.number}"


def _result(trial: Trial) -> TrialResult:
    """A trial as this process knows it."""
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
    )

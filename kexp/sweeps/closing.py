"""What a sweep leaves to read: its own run's summary, and the report, in its folder and among the run's artifacts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.errors import KexpError
from kexp.sweeps.results import SHARED_TRIALS, TrialResult, histories_of, read_sweep

if TYPE_CHECKING:
    from kexp.sweeps.session import Session
    from kexp.sweeps.trials import Trial
    from kexp.tracking import Tracker

__all__ = ["Report", "summarise"]


def summarise(session: Session, tracker: Tracker) -> None:
    """Tells a sweep's own run what became of its trials, and the best value of its objective."""
    counts: dict[str, int] = {}
    for trial in session.trials:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    told = {f"kexp.sweep.{state.lower()}": count for state, count in counts.items()}
    tracker.set_tags({"kexp.sweep.trials": len(session.trials), **told})
    objective = session.objective
    if objective is not None:
        tracker.set_tags({"kexp.sweep.objective": objective.metric, "kexp.sweep.direction": objective.direction})
        known = [value for trial in session.trials if trial.whole and (value := session.value(trial)) is not None]
        if known:
            tracker.log_metrics({f"best_{objective.metric}": min(known, key=objective.rank_key)}, step=0)
    shared = [trial.run_id for trial in session.trials if trial.state == "DONE"]
    tracker.log_text("\n".join(dict.fromkeys(shared)), SHARED_TRIALS)


class Report:
    """A sweep's report, written in the background.

    Args:
        session: the sweep; what goes wrong is among its notices.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread: threading.Thread | None = None
        self._files: list[Path] = []

    def begin(self) -> None:
        """Starts on it, once the store has all trials."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="kexp-report", daemon=True)
            self._thread.start()

    def files(self) -> list[Path]:
        """What was written, when it is; nothing where it could not be."""
        if self._thread is not None:
            self._thread.join()
        return self._files

    def _write(self) -> None:
        notices = self._session.notices
        try:
            self._files = _write_files(self._session)
        except KexpError as error:
            notices.append(f"there is no report: {error}")
        except Exception as error:  # a drawing that fails must not cost the sweep
            notices.append(f"there is no report: {type(error).__name__}: {error}")


def _write_files(session: Session) -> list[Path]:
    """Writes `report.html`, `report.md` and `trials.csv` over what the store has of the sweep.

    Raises:
        KexpError: there is nothing to report, or the store cannot be read.
    """
    from kexp.sweeps.compare import compare_trials
    from kexp.sweeps.report import write_report

    assert session.store is not None
    found = read_sweep(session.store, session.run_id)
    known = {trial.run_id for trial in found.trials}
    shared = [_result(trial) for trial in session.trials if trial.state == "DONE" and trial.run_id not in known]
    trials = list({trial.run_id: trial for trial in [*found.trials, *shared]}.values())
    if not trials:
        return []
    histories, objective = histories_of(session.store), session.objective
    comparison = compare_trials(
        trials,
        histories=histories,
        title=session.name,
        objective=objective.metric if objective else None,
        direction=objective.direction if objective else None,
    )
    page = write_report(session.folder, comparison, histories, figures=session.figures())
    return [page, page.with_name("report.md"), page.with_name("trials.csv")]


def _result(trial: Trial) -> TrialResult:
    """A trial of another sweep, as this one plans it: the list of them is on its way to the store still."""
    from kexp.experiment import run_parameters

    params = run_parameters(trial.config)
    return TrialResult(
        trial.run_id, f"trial {trial.number}", "FINISHED", params, trial.metrics, fingerprint=trial.fingerprint
    )

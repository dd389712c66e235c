"""What a sweep leaves to read: the report, in its folder and among its run's artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kexp.experiment import run_parameters
from kexp.sweep.results import TrialResult, histories_of, read_sweep

if TYPE_CHECKING:
    from kexp.sweep.session import Session
    from kexp.sweep.trials import Trial

__all__ = ["write_files"]


def write_files(session: Session) -> list[Path]:
    """Writes `report.html`, `report.md` and `trials.csv` over what the store has of the sweep.

    Raises:
        KexpError: there is nothing to report, or the store cannot be read.
    """
    from kexp.sweep.compare import compare_trials
    from kexp.sweep.report import write_report

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
    params = run_parameters(trial.config)
    return TrialResult(
        trial.run_id, f"trial {trial.number}", "FINISHED", params, trial.metrics, fingerprint=trial.fingerprint
    )

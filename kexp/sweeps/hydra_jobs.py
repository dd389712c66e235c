"""Runs trials as jobs of one of Hydra's launchers, and the jobs of another package's sweeper as trials."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError, KexpError, first_line, in_a_line
from kexp.tracking import RunView, search

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from kexp.sweeps.execution.session import Session
    from kexp.sweeps.trials import State, Trial

__all__ = ["launch_jobs", "parent_run_override", "run_job", "submit_jobs"]

_STATES: dict[str, State] = {"FINISHED": "FINISHED", "FAILED": "FAILED"}
_PARENT = "KEXP_SWEEP_RUN_ID"


def parent_run_override(run_id: str) -> str:
    """Returns the override that passes the id of the sweep's run to a job of any Hydra launcher."""
    return f"+hydra.job.env_set.{_PARENT}={run_id}"


def run_job(config: DictConfig) -> float | None:
    """Runs one trial as a job of Hydra's: an ordinary run, nested under the sweep's run.

    An error is raised; Hydra's launcher returns it as the job's result.

    Returns:
        The value of `sweep.objective`, or of `val_loss`; None if it was not measured.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from kexp.config import name_default_optimizer, overrides_of, plain
    from kexp.schema import check

    warnings.filterwarnings("ignore")
    job, config = HydraConfig.get(), name_default_optimizer(config)
    checked = check({**plain(config), "trainer": {**plain(config)["trainer"], "verbose": 0}})
    from kexp import experiment

    result = experiment.run(
        checked,
        Path(job.runtime.output_dir),
        source=experiment.Source(
            tuple(overrides_of(HydraConfig.instance().cfg)), OmegaConf.to_yaml(config, resolve=False)
        ),
        parent_run_id=job.job.env_set.get(_PARENT),
        tags={"kexp.trial": str(job.job.num)},
    )
    wanted = checked.sweep.objective
    return result.metrics.get(wanted if isinstance(wanted, str) else "val_loss")


def launch_jobs(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
    """Runs the jobs that another package's sweeper has chosen as trials of one sweep, on one of kexp's launchers.

    Args:
        launcher: the launcher, set up for the sweep; all of its batches belong to the same sweep.
        job_overrides: the overrides of each job.
        initial_job_idx: the number of the first job.

    Returns:
        The result of each job, with the value of the objective for the sweeper.
    """
    from hydra.core.utils import JobReturn, JobStatus

    from kexp.sweeps.sweeper_steps import finish, open_session, plan_overrides, run_missing

    trials = plan_overrides(launcher, job_overrides, first=initial_job_idx)
    session: Session = open_session(launcher, trials)
    launcher.session = session
    run_missing(session, partial(session.run, launcher, trials))
    with contextlib.suppress(KexpError):  # the sweeper finds failures in the results
        finish(session)
    returned = []
    for trial in trials:
        job = JobReturn(overrides=list(trial.overrides))
        job.status = JobStatus.COMPLETED if trial.good else JobStatus.FAILED
        job.return_value = session.value(trial) if trial.good else KexpError(f"trial {trial.number}: {trial.reason}")
        returned.append(job)
    return returned


def submit_jobs(session: Session, launcher: Any, trials: Sequence[Trial]) -> None:
    """Runs the waiting trials on a launcher of Hydra's or another package's. Their results are read from the store.

    Such a launcher may stop at the first job that fails; trials that it has not run stay WAITING.
    """
    waiting = [trial for trial in trials if trial.state == "WAITING"]
    if not waiting:
        return
    start_ms = time.time_ns() // 1_000_000
    jobs: Sequence[Any] = ()
    problem = ""
    try:
        jobs = launcher.launch(
            [[*trial.overrides, parent_run_override(session.run_id)] for trial in waiting],
            initial_job_idx=waiting[0].number,
        )
    except Exception as error:
        problem = in_a_line(error)
    runs = _runs_since(session, start_ms)
    for number, trial in enumerate(waiting):
        view = runs.get(trial.fingerprint)
        job = jobs[number] if number < len(jobs) else None
        failure = getattr(job, "_return_value", None)
        if view is not None:
            trial.run_id, trial.metrics = view.run_id, dict(view.metrics)
            trial.state = _STATES.get(view.status, "KILLED")
            trial.reason = view.tags.get("kexp.reason", "")
        elif isinstance(failure, BaseException):
            trial.state = "INVALID" if isinstance(failure, ConfigError) else "FAILED"
            trial.reason = first_line(failure)
        elif problem:
            trial.state, trial.reason = "FAILED", problem
        session.choose_objective_from(trial.metrics)
    session.records.delete_replaced(trial for trial in waiting if trial.fingerprint in runs)


def _runs_since(session: Session, start_ms: int) -> dict[str, RunView]:
    """Returns fingerprint -> run of this sweep, for the runs since `start_ms`."""
    if session.store is None:
        return {}
    views = search(session.store, parent_run_id=session.run_id, newest_first=False)
    return {view.tags.get("kexp.fingerprint", ""): view for view in views if view.start_ms >= start_ms - 1000}

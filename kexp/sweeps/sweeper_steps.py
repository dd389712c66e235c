"""The steps that all sweepers share: plan trials, open a session, print the plan and the closing lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.config import overrides_of
from kexp.errors import ConfigError, KexpError, StoreError
from kexp.schema import Experiment, check
from kexp.sweeps.events import runs_tasks
from kexp.sweeps.execution.session import Session
from kexp.sweeps.plan.composing import Composer
from kexp.sweeps.plan.jobs import Jobs, sweep_folder
from kexp.sweeps.plan.planning import PlanCache, plan_trials
from kexp.sweeps.table import problems
from kexp.sweeps.trials import Trial
from kexp.system.disk import full_disk, mentions_disk_full
from kexp.system.folders import shown_path
from kexp.system.wording import counted

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

__all__ = [
    "SweepFailedError",
    "composer_of",
    "finish",
    "open_session",
    "plan_overrides",
    "print_plan",
    "run_missing",
    "set_up",
]

# Hydra's own settings that change how a sweep runs, but not which trials it has.
_EXECUTION_KEYS = re.compile(r"[+~]*hydra([./]launcher|\.mode|\.verbose|\.sweeper\.(n_trials|n_jobs|max_batch_size))\b")

_MOST_REASONS = 5


class SweepFailedError(KexpError):
    """Some trials of a sweep failed; the closing table lists them.

    Attributes:
        session: the sweep's session; None if unknown.
    """

    session: Session | None = None


def set_up(sweeper: Any, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
    """Sets the attributes `config`, `hydra_context` and `launcher` of a sweeper. The arguments are those of Hydra."""
    from hydra.core.plugins import Plugins

    sweeper.config, sweeper.hydra_context = config, hydra_context
    sweeper.launcher = Plugins.instance().instantiate_launcher(
        hydra_context=hydra_context, task_function=task_function, config=config
    )


def plan_overrides(
    owner: Any,
    combinations: Sequence[Sequence[str]],
    first: int = 0,
    composer: Composer | None = None,
    cache: PlanCache | None = None,
) -> list[Trial]:
    """Plans a trial for each combination of overrides.

    Args:
        owner: a sweeper or launcher that Hydra has set up.
        combinations: the overrides of each trial.
        first: the number of the first trial.
        composer: composes their configs; `composer_of(owner)` unless given.
        cache: results that trials share, for a sweeper that plans several times.
    """
    composer = composer or composer_of(owner)
    adapt = getattr(getattr(owner, "launcher", owner), "adapt", None)
    trials = plan_trials(combinations, composer.config, cache, adapt)
    for trial in trials:
        trial.number += first
    return trials


def composer_of(owner: Any) -> Composer:
    """Returns a composer of trials' configs for a sweeper or launcher that Hydra has set up."""
    loader = owner.hydra_context.config_loader
    groups = set(loader.list_groups(""))

    def compose(overrides: Sequence[str]) -> DictConfig:
        composed: DictConfig = loader.load_sweep_config(owner.config, list(overrides))
        return composed

    return Composer(compose, lambda key: key in groups or "/" in key)


def open_session(sweeper: Any, trials: list[Trial], arguments: Sequence[str] | None = None) -> Session:
    """Opens a session for planned trials.

    Args:
        sweeper: a sweeper or launcher that Hydra has set up.
        trials: all trials that are planned so far.
        arguments: the overrides as given; None means those of the command line.

    Raises:
        ConfigError: there are no trials, none is valid, or `sweep.name` is not a valid name.
    """
    from kexp.config.source import RegistrySearchPath
    from kexp.experiment import store_of

    if not trials:
        raise ConfigError("the sweep has no trials")
    valid = [trial for trial in trials if trial.state != "INVALID"]
    if not valid:
        raise ConfigError(f"no trial of the sweep is valid: {_reasons(trials)}")
    experiment: Experiment = check(valid[0].config)
    _check_name(experiment.sweep.name)
    task, hydra = overrides_of(sweeper.config), overrides_of(sweeper.config, "hydra")
    settings = [each for each in hydra if not _EXECUTION_KEYS.match(each)]
    folder = Path("multirun", experiment.sweep.name or f"{datetime.now():%Y-%m-%d_%H-%M-%S}")
    while experiment.sweep.name is None and folder.exists():  # another sweep in the same second
        folder = folder.with_name(f"{folder.name}-2")
    chosen = sweep_folder(sweeper.config)
    jobs = Jobs(sweeper) if runs_tasks(getattr(sweeper, "launcher", sweeper)) else None
    if jobs is not None:
        jobs.check(trials, grows=getattr(sweeper, "searches", False))
    user_folder = RegistrySearchPath.user_folder
    session = Session(
        trials,
        experiment,
        arguments=[*settings, *(task if arguments is None else arguments)],
        store=store_of(experiment),
        folder=chosen or folder,
        name=folder.name,
        jobs=jobs,
        command={
            "arguments": [each for each in [*hydra, *task] if not each.startswith("hydra.mode=")],
            "config_dir": None if user_folder is None else str(user_folder),
            "config_name": str(sweeper.config.hydra.job.config_name),
        },
    )
    if jobs is not None and sweeper.config.hydra.job_logging.get("root") is not None:
        session.notices.append("hydra.job_logging: the log of a trial is trial.log in its folder")
    return session


def _check_name(name: str | None) -> None:
    """Checks `sweep.name`, which becomes the name of a folder."""
    if name is not None and (not name.isprintable() or set(name) & set("/\\") or name.startswith((".", "-"))):
        raise ConfigError.at("sweep.name", "must be a plain name for a folder, with no dot or hyphen in front", name)
    if name in ("", "latest"):
        raise ConfigError.at("sweep.name", "must be a name of its own", name)


def _reasons(trials: Sequence[Trial]) -> str:
    by_error: dict[str, str] = {}
    for trial in trials:  # the advice after the semicolon may differ for equal errors
        by_error.setdefault(trial.reason.partition("; ")[0], trial.reason)
    reasons = list(by_error.values())
    more = len(reasons) - _MOST_REASONS
    return "; ".join(reasons[:_MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")


def print_plan(session: Session) -> None:
    """Prints how many trials will run, and the trials that are invalid."""
    if not session.verbose:
        return
    states = [str(trial.state) for trial in session.trials]
    counts = [counted(len(states), "trial")]
    for state, phrase in (("DONE", "done already"), ("INVALID", "invalid"), ("WAITING", "to run")):
        if states.count(state):
            counts.append(f"{states.count(state)} {phrase}")
    print(f"sweep {session.name}: " + ", ".join(counts), file=sys.stderr)
    for line in problems([trial for trial in session.trials if trial.state == "INVALID"])[:20]:
        print(f"  {line}", file=sys.stderr)


def run_missing(session: Session, run: Callable[[], None]) -> None:
    """Runs the trials of a planned sweep whose results are not in the store.

    Args:
        session: the sweep.
        run: runs the waiting trials.
    """
    with session.running():
        session.skip_done()
        print_plan(session)
        run()


def finish(session: Session) -> None:
    """Prints the closing table.

    Raises:
        ConfigError: every trial is invalid.
        SweepFailedError: some trials failed, or trials or models to be kept are not in the store.
    """
    trials = session.trials
    if session.verbose:
        lines = [*session.closing(), "", f"files    {shown_path(session.folder)}", f"sweep    {session.name}"]
        if session.store is not None:
            lines[-1] += f"  {session.run_id}"
            lines.append(f"compare  {session.compare_command}")
        print("\n".join(lines[1:] if not lines[0] else lines))
    missing = _missing(session)
    full = next(filter(mentions_disk_full, session.notices), "") if missing else ""
    for notice in session.notices:
        if not (full and mentions_disk_full(notice)):  # one sentence is enough on a full disk
            print(f"kexp: {notice}", file=sys.stderr)
    if trials and all(trial.state == "INVALID" for trial in trials):
        raise ConfigError(f"no trial of the sweep is valid: {_reasons(trials)}")
    if not missing:
        return
    sentence, resumable = ", ".join(missing), session.store is not None
    if full:
        again = f"continue with: {session.resume_command}" if resumable else "type the command again"
        disk = full_disk(StoreError(full), session.folder / "report.html")
        sentence = f"{disk}; {sentence}; make room, and {again}"
    elif resumable and not all(trial.good for trial in trials):
        sentence += f"; run what is missing by: {session.resume_command}"
    error = SweepFailedError(sentence)
    error.session = session
    raise error


def _missing(session: Session) -> list[str]:
    """Returns what a sweep lacks: trials that did not finish, and what is not in the store."""
    trials = session.trials
    bad = sum(1 for trial in trials if not trial.good)
    missing = [f"{bad} of {counted(len(trials), 'trial')} did not finish"] * bool(bad)
    for count, which in (
        (session.models_missing, "of the models to be kept are"),
        (session.records.trials_left, "trials are"),
        (session.rows_waiting, "rows of the sweep's own run are"),
    ):
        missing += [f"{count} {which} not in the store"] * bool(count)
    return missing

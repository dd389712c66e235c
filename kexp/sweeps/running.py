"""A sweep as sweepers and launchers begin and end it: trials planned, a session opened, the closing lines told."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.config import explain, overrides_of
from kexp.errors import ConfigError, KexpError
from kexp.schema import Experiment, check
from kexp.sweeps.plan.composing import Composer
from kexp.sweeps.plan.jobs import Jobs, sweep_folder
from kexp.sweeps.plan.planning import plan_trials
from kexp.sweeps.session import Session
from kexp.sweeps.table import problems
from kexp.sweeps.trials import Trial

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["SweepFailedError", "composer_of", "finish", "open_session", "plan_overrides", "tell"]

# Hydra's own settings that change how a sweep is run, and not which trials it has.
_EXECUTION_KEYS = re.compile(r"[+~]*hydra([./]launcher|\.mode|\.verbose|\.sweeper\.(n_trials|n_jobs|max_batch_size))\b")


class SweepFailedError(KexpError):
    """Some trials of a sweep did not end as they should; the table has said which.

    Attributes:
        session: the sweep, where it is known.
    """

    session: Session | None = None


def plan_overrides(
    owner: Any, combinations: Sequence[Sequence[str]], first: int = 0, composer: Composer | None = None
) -> list[Trial]:
    """The trials of these overrides.

    Args:
        owner: a sweeper or launcher that Hydra has set up.
        combinations: each trial's overrides.
        first: the number of the first.
        composer: of their configs; one of the owner's unless given.
    """
    composer = composer or composer_of(owner)
    adapt = getattr(getattr(owner, "launcher", owner), "adapt", None)
    trials = plan_trials(combinations, composer.config, explain, adapt=adapt)
    for trial in trials:
        trial.number += first
    return trials


def composer_of(owner: Any) -> Composer:
    """Composes trials' configs as the owner, a sweeper or launcher that Hydra has set up, would have them composed."""
    loader = owner.hydra_context.config_loader
    groups = set(loader.list_groups(""))

    def compose(overrides: Sequence[str]) -> DictConfig:
        composed: DictConfig = loader.load_sweep_config(owner.config, list(overrides))
        return composed

    return Composer(compose, lambda key: key in groups or "/" in key)


def open_session(sweeper: Any, trials: list[Trial], arguments: Sequence[str] | None = None) -> Session:
    """The session of planned trials.

    Args:
        sweeper: or launcher; what Hydra has set up for the sweep.
        trials: all that are known.
        arguments: what is swept over, as it was given; None takes the command line's.

    Raises:
        ConfigError: there are none, or none is valid.
    """
    from kexp.config.source import RegistrySearchPath
    from kexp.experiment import store_of

    if not trials:
        raise ConfigError("the sweep has no trials")
    valid = [trial for trial in trials if trial.state != "INVALID"]
    if not valid:
        raise ConfigError(f"no trial of the sweep is valid: {_reasons(trials)}")
    experiment: Experiment = check(valid[0].config)
    name = experiment.sweep.name
    if name is not None and (not name.isprintable() or set(name) & set("/\\") or name.startswith((".", "-"))):
        raise ConfigError.at("sweep.name", "must be a plain name for a folder, with no dot or hyphen in front", name)
    if name in ("", "latest"):
        raise ConfigError.at("sweep.name", "must be a name of its own", name)
    task, hydra = overrides_of(sweeper.config), overrides_of(sweeper.config, "hydra")
    how = [each for each in hydra if not _EXECUTION_KEYS.match(each)]
    folder = Path("multirun", name or f"{datetime.now():%Y-%m-%d_%H-%M-%S}")
    while name is None and folder.exists():  # another sweep in the same second
        folder = folder.with_name(f"{folder.name}-2")
    chosen = sweep_folder(sweeper.config)
    jobs = Jobs(sweeper) if hasattr(getattr(sweeper, "launcher", sweeper), "run_tasks") else None
    if jobs is not None:
        jobs.check(trials, grows=getattr(sweeper, "searches", False))
    user_folder = RegistrySearchPath.user_folder
    session = Session(
        trials,
        experiment,
        arguments=[*how, *(task if arguments is None else arguments)],
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
        session.notices.append("hydra.job_logging: what a trial logs is in the trial.log of its folder")
    return session


def _reasons(trials: Sequence[Trial], most: int = 5) -> str:
    by_complaint: dict[str, str] = {}
    for trial in trials:  # of one complaint the advice differs with the value
        by_complaint.setdefault(trial.reason.partition("; ")[0], trial.reason)
    reasons = list(by_complaint.values())
    return "; ".join(reasons[:most]) + (f"; and {len(reasons) - most} more" if len(reasons) > most else "")


def tell(session: Session) -> None:
    """What is about to happen, in a line or two."""
    if not session.verbose:
        return
    states = [str(trial.state) for trial in session.trials]
    words = [f"{len(states)} trials"]
    for state, phrase in (("DONE", "done already"), ("INVALID", "invalid"), ("WAITING", "to run")):
        if states.count(state):
            words.append(f"{states.count(state)} {phrase}")
    print(f"sweep {session.name}: " + ", ".join(words), file=sys.stderr)
    for line in problems([trial for trial in session.trials if trial.state == "INVALID"])[:20]:
        print(f"  {line}", file=sys.stderr)


def finish(session: Session) -> None:
    """The closing table.

    Raises:
        ConfigError: every trial turned out to be invalid.
        SweepFailedError: some trials did not end as they should, or a model to be kept is not where it should be.
    """
    trials = session.trials
    if session.verbose:
        lines = [*session.closing(), "", f"files    {_short(session.folder)}", f"sweep    {session.name}"]
        if session.store is not None:
            lines[-1] += f"  {session.run_id}"
            lines.append(f"compare  {session.compare_command}")
        print("\n".join(lines[1:] if not lines[0] else lines))
    for notice in session.notices:
        print(f"kexp: {notice}", file=sys.stderr)
    if trials and all(trial.state == "INVALID" for trial in trials):
        raise ConfigError(f"no trial of the sweep is valid: {_reasons(trials)}")
    bad = sum(1 for trial in trials if not trial.good)
    if bad or session.models_missing:
        again = f"; run what is missing by: {session.resume_command}" if bad and session.store is not None else ""
        what = f"{bad} of {len(trials)} trials did not finish" if bad else ""
        if session.models_missing:
            kept = f"{session.models_missing} of the models to be kept are not in the store"
            what = f"{what}, and {kept}" if what else kept
        error = SweepFailedError(what + again)
        error.session = session
        raise error


def _short(folder: Path) -> str:
    folder = folder.resolve()
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else str(folder)

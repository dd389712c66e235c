"""What the sweepers in stages have in common: what they take, what they refuse, and how they run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.errors import ConfigError
from kexp.rules import check_value
from kexp.schema import Experiment, check
from kexp.sweeps.objective import Objective
from kexp.sweeps.population.decisions import Decision, Decisions, Method
from kexp.sweeps.population.sampling import draw_points
from kexp.sweeps.population.stages import Stages
from kexp.sweeps.running import finish, open_session, tell
from kexp.sweeps.search.space import Space
from kexp.sweeps.search.spaces import SpaceSweeper
from kexp.sweeps.session import Session
from kexp.sweeps.trials import Trial

__all__ = ["Asked", "ask", "check_settings", "run"]


@dataclass(frozen=True)
class Asked:
    """A sweep in stages as the user asked for it.

    Attributes:
        space: what to choose from.
        points: what was chosen, by trial.
        trials: planned.
        experiment: any valid one of them.
        objective: what they are judged by.
    """

    space: Space
    points: list[dict[str, Any]]
    trials: list[Trial]
    experiment: Experiment
    objective: Objective


def check_settings(settings: Mapping[str, tuple[Any, Any]]) -> None:
    """Holds a sweeper's settings against their rules.

    Args:
        settings: name -> value and annotation.

    Raises:
        ConfigError: the first that does not hold.
    """
    for name, (value, annotation) in settings.items():
        check_value(f"hydra.sweeper.{name}", value, annotation)


def ask(sweeper: SpaceSweeper, name: str, arguments: Sequence[str], count: int | None, key: str, seed: int) -> Asked:
    """All that the user asked for, held against what there is.

    Args:
        sweeper: the sweeper.
        name: as `hydra/sweeper` has it.
        arguments: the command line's.
        count: how many trials; None for all points of the space.
        key: what the count is called.
        seed: of the points.

    Raises:
        ConfigError: it cannot be.
    """
    if not getattr(sweeper.launcher, "parks_lanes", False):
        raise ConfigError(f"hydra/launcher: must be auto or fused with hydra/sweeper={name}, whose trials are lanes")
    request, space, probe = sweeper.requested([*_LANES, *arguments])
    experiment = check(probe.config)
    if experiment.trainer.engine != "compiled" or not experiment.fused.strict:
        key = "fused.strict" if experiment.trainer.engine == "compiled" else "trainer.engine"
        raise ConfigError(f"{key}: must be left out with hydra/sweeper={name}, whose trials are lanes")
    if request.seeds or experiment.sweep.seeds is not None or experiment.sweep.folds is not None:
        what = "sweep.folds" if experiment.sweep.folds is not None else "sweep.seeds" if not request.seeds else "seed"
        raise ConfigError(f"{what}: must be left out, or one seed, with hydra/sweeper={name}, which judges by one run")
    if experiment.trainer.changes:
        raise ConfigError(f"trainer.changes: must be left out with hydra/sweeper={name}")
    objectives = sweeper.objectives(experiment, space)
    if len(objectives) > 1:
        raise ConfigError(f"sweep.objective: must be one metric with hydra/sweeper={name}, got {len(objectives)}")
    if objectives[0].metric.startswith("test_"):
        raise ConfigError(
            f"sweep.objective: must be measured every epoch with hydra/sweeper={name}, "
            f"and {objectives[0].metric} is once, at the end"
        )
    points = draw_points(space, count, seed, key)
    trials = sweeper.plan_overrides([space.overrides(point) for point in points])
    return Asked(space, points, trials, experiment, objectives[0])


# Every trial is to be a lane, and its overrides are to say so; what is typed after these wins, and is held against it.
_LANES = ("backend=jax", "trainer.engine=compiled", "fused.strict=true")


def run(
    sweeper: SpaceSweeper,
    asked: Asked,
    arguments: Sequence[str],
    method: Method,
    says: Sequence[str],
    take_effect: Callable[[Session, Decision], None] = lambda *_: None,
    remark: Callable[[Session], str] = lambda _: "",
) -> Session:
    """Runs a sweep in stages.

    Args:
        sweeper: the sweeper.
        asked: what it is to do.
        arguments: the command line's.
        method: decides after each stage.
        says: the lines that tell of it before it begins.
        take_effect: called with each decision, for what is the method's own.
        remark: what the closing lines and the report say of it.

    Raises:
        ConfigError: a trial cannot be a lane, or the sweep was begun with something else.
        SweepFailedError: some trials did not end as they should.
    """
    session = open_session(sweeper, asked.trials, arguments)
    with session.running(asked.objective) as tracker:
        begun_with = (f"{len(asked.trials)} trials", f"{asked.objective.direction} {asked.objective.metric}")
        fingerprints = [trial.fingerprint for trial in session.trials]
        decisions = Decisions(session.folder, begun_with, fingerprints, goes_on=session.goes_on)
        stages = Stages(
            session,
            asked.objective,
            method,
            decisions,
            lambda decision: take_effect(session, decision),
            lambda: session.remarks.append(remark(session)),
        )
        first = stages.begin()
        tell(session)
        if session.verbose:
            done = [f"goes on after epoch {decisions.made[-1].epoch}, where it was"] if decisions.made else []
            print(*[f"  {line}" for line in [*says, *done]], sep="\n", file=sys.stderr)
        try:
            session.run(sweeper.launcher, first, then=stages.then)
        except ConfigError as error:
            if not str(error).startswith("fused.strict: "):
                raise
            why = str(error).removeprefix("fused.strict: ")
            raise ConfigError(f"hydra/sweeper: {method.name} runs trials as lanes, and {why}") from error
        tracker.set_tags({"kexp.sweep.sampler": method.name})
        tracker.log_text(decisions.text(), "sweep/population.json")
    finish(session)
    return session

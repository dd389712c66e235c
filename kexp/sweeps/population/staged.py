"""The common part of the staged sweepers: check the request, plan the trials, run the stages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from kexp.errors import ConfigError
from kexp.rules import check_value
from kexp.schema import Experiment, check
from kexp.sweeps.execution.session import Session
from kexp.sweeps.objective import Objective
from kexp.sweeps.population.decisions import Decision, Decisions, Method
from kexp.sweeps.population.sampling import draw_points
from kexp.sweeps.population.stages import Stages
from kexp.sweeps.search.space.axes import Space
from kexp.sweeps.search.space_sweeper import SpaceSweeper
from kexp.sweeps.sweeper_steps import finish, open_session, print_plan
from kexp.sweeps.trials import Trial

__all__ = ["StagedSweep", "check_settings", "plan_staged", "run"]


@dataclass(frozen=True)
class StagedSweep:
    """A planned staged sweep.

    Attributes:
        space: the search space.
        points: the point of each trial: axis name -> value.
        trials: the planned trials.
        experiment: the experiment of a valid trial, for the settings that all trials share.
        objective: the metric that trials are ranked by.
    """

    space: Space
    points: list[dict[str, Any]]
    trials: list[Trial]
    experiment: Experiment
    objective: Objective


def check_settings(sweeper: SpaceSweeper) -> None:
    """Check a sweeper's settings, its attributes, against the annotations of its parameters.

    Raises:
        ConfigError: a setting breaks its rule.
    """
    for name, annotation in get_type_hints(type(sweeper).__init__, include_extras=True).items():
        if hasattr(sweeper, name):
            check_value(f"hydra.sweeper.{name}", getattr(sweeper, name), annotation)


def plan_staged(
    sweeper: SpaceSweeper, name: str, arguments: Sequence[str], count: int | None, key: str, seed: int
) -> StagedSweep:
    """Plan a staged sweep, and check that its settings suit a sweep whose trials are lanes.

    Args:
        sweeper: the sweeper.
        name: the option of `hydra/sweeper`.
        arguments: the command line without flags.
        count: how many trials; None for all points of the space.
        key: the config key of `count`, for messages.
        seed: random seed of the points.

    Raises:
        ConfigError: the launcher does not run lanes, or a setting does not suit the sweeper.
    """
    if not getattr(sweeper.launcher, "parks_lanes", False):
        raise ConfigError(f"hydra/launcher: must be auto or fused with hydra/sweeper={name}, whose trials are lanes")
    request, space, probe = sweeper.read_space([*_LANES, *arguments])
    experiment = check(probe.config)
    if experiment.trainer.engine != "compiled" or not experiment.fused.strict:
        key = "fused.strict" if experiment.trainer.engine == "compiled" else "trainer.engine"
        raise ConfigError(f"{key}: must be left out with hydra/sweeper={name}, whose trials are lanes")
    if request.seeds or experiment.sweep.seeds is not None or experiment.sweep.folds is not None:
        what = "sweep.folds" if experiment.sweep.folds is not None else "sweep.seeds" if not request.seeds else "seed"
        raise ConfigError(
            f"{what}: must be left out, or one seed, with hydra/sweeper={name}, which compares single runs"
        )
    if experiment.trainer.changes:
        raise ConfigError(f"trainer.changes: must be left out with hydra/sweeper={name}")
    objectives = sweeper.objectives(experiment, space)
    if len(objectives) > 1:
        raise ConfigError(f"sweep.objective: must be one metric with hydra/sweeper={name}, got {len(objectives)}")
    if objectives[0].metric.startswith("test_"):
        raise ConfigError(
            f"sweep.objective: must be measured every epoch with hydra/sweeper={name}, "
            f"and {objectives[0].metric} is measured once, at the end"
        )
    points = draw_points(space, count, seed, key)
    trials = sweeper.plan_overrides([space.overrides(point) for point in points])
    return StagedSweep(space, points, trials, experiment, objectives[0])


# Overrides that make every trial a lane. The user's overrides come later and take precedence; they are checked below.
_LANES = ("backend=jax", "trainer.engine=compiled", "fused.strict=true")


def run(
    sweeper: SpaceSweeper,
    staged: StagedSweep,
    arguments: Sequence[str],
    method: Method,
    lines: Sequence[str],
    take_effect: Callable[[Session, Decision], None] = lambda *_: None,
    remark: Callable[[Session], str] = lambda _: "",
) -> Session:
    """Run a staged sweep.

    Args:
        sweeper: the sweeper.
        staged: the planned sweep.
        arguments: the command line without flags.
        method: makes the decision after each stage.
        lines: describe the method; printed before the sweep starts.
        take_effect: called with each decision, to update the method's own state.
        remark: returns a line on the method for the closing lines and the report.

    Returns:
        The session, whose trials are over.

    Raises:
        ConfigError: a trial cannot be a lane, or the sweep was started with other settings.
        SweepFailedError: some trials failed.
    """
    session = open_session(sweeper, staged.trials, arguments)
    with session.running(staged.objective) as tracker:
        begun_with = (f"{len(staged.trials)} trials", f"{staged.objective.direction} {staged.objective.metric}")
        fingerprints = [trial.fingerprint for trial in session.trials]
        decisions = Decisions(session.folder, begun_with, fingerprints, goes_on=session.has_earlier_run)
        stages = Stages(
            session,
            staged.objective,
            method,
            decisions,
            lambda decision: take_effect(session, decision),
            lambda: session.remarks.append(remark(session)),
        )
        first = stages.begin()
        print_plan(session)
        if session.verbose:
            done = [f"goes on after epoch {decisions.made[-1].epoch}, where it was"] if decisions.made else []
            print(*[f"  {line}" for line in [*lines, *done]], sep="\n", file=sys.stderr)
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

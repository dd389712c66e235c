"""`hydra/sweeper=optuna`: a search instead of a grid, on any launcher."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kexp.errors import ConfigError
from kexp.schema import Experiment, check
from kexp.sweeps.events import runs_tasks
from kexp.sweeps.execution.session import Session
from kexp.sweeps.objective import Objective
from kexp.sweeps.search.optuna_package import import_optuna
from kexp.sweeps.search.resume_check import check_unchanged
from kexp.sweeps.search.samplers import Chosen, choose_pruner, choose_sampler
from kexp.sweeps.search.search_loop import SearchLoop
from kexp.sweeps.search.space.axes import Space, count_points
from kexp.sweeps.search.space.grammar import Request
from kexp.sweeps.search.space_sweeper import SpaceSweeper, plain
from kexp.sweeps.search.storage import may_have_study, open_storage
from kexp.sweeps.search.study import Study
from kexp.sweeps.search.summary import front_lines, study_json
from kexp.sweeps.sweeper_steps import finish, open_session
from kexp.sweeps.trials import Trial
from kexp.system.wording import counted

__all__ = ["OptunaSweeper"]

_MOST_POINTS = 1_000_000
_DEFAULT_TRIALS = 10  # for a model that declares its own space; the default of KerasTuner's tuners


class OptunaSweeper(SpaceSweeper):
    """Chooses each trial from the results of the trials before it, with Optuna.

    Args:
        n_trials: how many suggestions the search makes in total, including its earlier runs. All points unless given
            for a grid, 10 for a model that declares its own space.
        sampler: tpe, gp, cmaes, random, grid, nsga2, nsga3 or qmc; or a mapping with `name` and its parameters.
        pruner: median, percentile, successive_halving, hyperband, threshold or wilcoxon; or a mapping with `name`
            and its parameters; None for no pruner.
        storage: a database URL, or a file that ends in .db or .log; `study.log` in the sweep's folder unless given.
        seed: random seed; equal seeds make equal suggestions.
        space: axes in YAML; axes on the command line take precedence.
        params: the same, under the grid sweeper's name.
        n_jobs: how many trials are submitted at once to a launcher that is not kexp's own.
    """

    searches = True

    def __init__(
        self,
        n_trials: int | None = None,
        sampler: Any = "tpe",
        pruner: Any = None,
        storage: str | None = None,
        seed: int = 0,
        space: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        n_jobs: int = 1,
    ) -> None:
        self.n_trials, self.storage, self.seed, self.n_jobs = n_trials, storage, seed, n_jobs
        self.sampler, self.pruner = plain(sampler), plain(pruner)
        super().__init__(space, params)

    def sweep(self, arguments: list[str]) -> Session:
        """Runs the search.

        Raises:
            ConfigError: the request is not valid, or Optuna is not installed.
            SweepFailedError: some trials failed.
        """
        search = self._prepare(arguments)
        session = open_session(self, [search.probe], arguments)
        session.trials.clear()
        space, objectives, pruner, seeds = search.space, search.objectives, search.pruner, search.seeds

        def open_study() -> Study:
            return Study(
                session.name,
                open_storage(self.storage, session.folder),
                space,
                objectives,
                sampler=search.sampler,
                pruner=pruner,
                seed=self.seed,
                seeds=seeds,
            )

        if may_have_study(self.storage, session.folder):  # refuse a changed space before the sweep's run is created
            check_unchanged(session.name, open_storage(self.storage, session.folder), space, objectives, seeds)
        session.objectives = objectives
        with session.running(objectives[0]) as tracker:
            study = open_study()
            study.resume()
            loop = SearchLoop(
                study,
                session,
                self.plan_overrides,
                n_trials=search.n_trials,
                seeds=seeds,
                pruner=pruner.name if pruner else "",
                epochs=search.experiment.trainer.epochs,
            )
            self._run(session, loop, study)
            names = {"kexp.sweep.sampler": search.sampler.name}
            tracker.set_tags({**names, "kexp.sweep.pruner": pruner.name} if pruner else names)
            tracker.log_text(study_json(study), "sweep/study.json")
        if session.verbose and len(objectives) > 1:
            print("\n".join([*front_lines(study), ""]))
        finish(session)
        return session

    def plan(self, arguments: Sequence[str]) -> list[Trial]:
        """Returns as many trials as the search will make, all equal to the first: the others depend on its results.

        Raises:
            ConfigError: as for `sweep`.
        """
        search = self._prepare(arguments)
        count = search.n_trials * max(1, len(search.seeds))
        return [replace(search.probe, number=number) for number in range(count)]

    def _run(self, session: Session, loop: SearchLoop, study: Study) -> None:
        loop.restore()
        _print_plan(session, loop)
        session.on_trial_end(loop.on_end)
        if loop.pruner and loop.pruner != "wilcoxon":
            session.set_pruner(loop.prune_reason)
        try:
            if runs_tasks(self.launcher):
                ask = bool(loop.pruner) and loop.pruner != "wilcoxon"
                session.run(self.launcher, [], ask=ask, more=loop.next_trial, most=loop.most)
            else:
                self._run_on_hydra(session, loop)
        finally:
            study.requeue_running()

    def _run_on_hydra(self, session: Session, loop: SearchLoop) -> None:
        """Runs the search on a launcher of Hydra's, one batch of trials at a time."""
        from kexp.sweeps.hydra_jobs import submit_jobs
        from kexp.sweeps.trials import Outcome

        while True:
            batch = [trial for trial in (loop.next_trial() for _ in range(self.n_jobs)) if trial is not None]
            if not batch:
                return
            submit_jobs(session, self.launcher, batch)
            for trial in batch:
                loop.on_end(trial, Outcome(trial.number, trial.state, trial.reason))

    def _prepare(self, arguments: Sequence[str]) -> _Search:
        """Reads and checks the request."""
        import_optuna()
        request, space, probe = self.read_space(arguments)
        if self.declared and self.n_trials is None:
            self.n_trials = _DEFAULT_TRIALS
        experiment = check(probe.config)
        objectives = self.objectives(experiment, space)
        sampler = choose_sampler(self.sampler, objectives=len(objectives))
        pruner = choose_pruner(self.pruner, epochs=experiment.trainer.epochs, objectives=len(objectives))
        seeds = _seeds(request, experiment)
        _check_pruner(pruner, objectives, seeds, self.launcher)
        return _Search(space, probe, experiment, objectives, sampler, pruner, self._total(sampler, space), seeds)

    def _total(self, sampler: Chosen, space: Space) -> int:
        """Returns the number of suggestions of the search in total.

        Raises:
            ConfigError: `n_trials` is missing or not a whole number of at least 1.
        """
        if sampler.name == "grid":
            points = count_points(space, _MOST_POINTS)
            return points if self.n_trials is None else min(points, self.n_trials)
        key = "hydra.sweeper.n_trials"
        if self.n_trials is None:
            raise ConfigError(f"{key}: must be given: the total number of trials, including those of earlier runs")
        if not isinstance(self.n_trials, int) or self.n_trials < 1:
            raise ConfigError.at(key, "must be a whole number of at least 1", self.n_trials)
        return self.n_trials


@dataclass(frozen=True)
class _Search:
    """A checked search."""

    space: Space
    probe: Trial
    experiment: Experiment
    objectives: list[Objective]
    sampler: Chosen
    pruner: Chosen | None
    n_trials: int
    seeds: tuple[int, ...]


def _seeds(request: Request, experiment: Experiment) -> tuple[int, ...]:
    if experiment.sweep.folds is not None:
        raise ConfigError(
            "sweep.folds: a search averages over seeds, not folds; give data.folds and data.fold for one fold"
        )
    count = experiment.sweep.seeds
    if count is None:
        return request.seeds
    if request.seeds:
        raise ConfigError("sweep.seeds: cannot be given together with seed=..., which chooses the seeds itself")
    return tuple(range(count))


def _check_pruner(pruner: Chosen | None, objectives: Sequence[Objective], seeds: Sequence[int], launcher: Any) -> None:
    if pruner is None:
        return
    key, metric = "hydra.sweeper.pruner", objectives[0].metric
    if pruner.name == "wilcoxon":
        if len(seeds) < 2:
            raise ConfigError(f"{key}: wilcoxon compares seed by seed, so give several: sweep.seeds=8")
        return
    if metric.startswith("test_"):
        raise ConfigError(f"{key}: {pruner.name} monitors every epoch, but {metric} is measured once, at the end")
    if not runs_tasks(launcher):
        raise ConfigError(f"{key}: {pruner.name} monitors every epoch, which only kexp's own launchers report")


def _print_plan(session: Session, loop: SearchLoop) -> None:
    if session.verbose:
        study, done = loop.study, loop.study.started
        counts = [counted(loop.n_trials, "trial")] + ([f"{done} of them over already"] if done else [])
        several = f", each with {len(loop.seeds)} seeds" if len(loop.seeds) > 1 else ""
        pruned = f", pruned by {loop.pruner}" if loop.pruner else ""
        aims = " and ".join(f"{each.direction} {each.metric}" for each in study.objectives)
        line = f"sweep {session.name}: {', '.join(counts)}{several}, chosen by {study.sampler.name}{pruned} to {aims}"
        print(line, file=sys.stderr)

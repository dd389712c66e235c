"""The grid sweeper, the default of `-m`: plans every trial, runs those whose results are missing, and compares them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from kexp.config import key_of
from kexp.sweeps.events import runs_tasks
from kexp.sweeps.execution.session import Session
from kexp.sweeps.plan.applicable import drop_inapplicable
from kexp.sweeps.plan.axes import expand, parse, with_folds, with_seeds
from kexp.sweeps.plan.parts import Part
from kexp.sweeps.sweeper_steps import composer_of, finish, open_session, plan_overrides, run_missing, set_up
from kexp.sweeps.trials import Trial

if TYPE_CHECKING:
    from hydra.types import HydraContext
    from omegaconf import DictConfig

__all__ = ["GridSweeper"]


class GridSweeper:
    """Runs every combination of the axes' values.

    Args:
        params: axes from the config, such as `{"optimizer.learning_rate": "1e-3,1e-2"}`; axes on the command line take
            precedence.
        max_batch_size: accepted for compatibility with Hydra's basic sweeper; trials do not run in batches.
    """

    config: DictConfig
    hydra_context: HydraContext
    launcher: Any

    def __init__(self, params: dict[str, str] | None = None, max_batch_size: int | None = None) -> None:
        self.params = dict(params or {})
        self.parts: list[Part] = []  # the parts of a sweep over presets
        self.left_out: list[str] = []  # a line for each parameter that only some choices have

    def setup(self, **given: Any) -> None:
        set_up(self, **given)

    def sweep(self, arguments: list[str]) -> Session:
        """Runs the sweep of these arguments.

        Raises:
            ConfigError: no trial is valid, or an axis cannot be parsed.
            SweepFailedError: some trials failed, or a model to be kept is not in the store.
        """
        trials = self.plan(arguments)
        session = open_session(self, trials, arguments)
        session.remarks = self.left_out
        if runs_tasks(self.launcher):
            with self._preparing(trials):
                run_missing(session, partial(session.run, self.launcher, trials))
        else:  # one of Hydra's own: each trial is a job, an ordinary run that is nested under the sweep's run
            from kexp.sweeps.hydra_jobs import submit_jobs

            run_missing(session, partial(submit_jobs, session, self.launcher, trials))
        finish(session)
        return session

    @contextmanager
    def _preparing(self, trials: Sequence[Trial]) -> Iterator[None]:
        """Lets the launcher prepare workers while the store is opened, and closes it after the block."""
        if not hasattr(self.launcher, "prepare"):
            yield
            return
        self.launcher.prepare(trials)
        try:
            yield
        finally:
            self.launcher.close()

    def plan(self, arguments: Sequence[str]) -> list[Trial]:
        """Composes, checks and fingerprints the trials, without any compute."""
        loader = self.hydra_context.config_loader
        combinations: list[tuple[str, ...]] = []
        for given in [self._arguments(each.arguments, each) for each in self.parts] or [self._arguments(arguments)]:
            combinations += expand(parse(given, loader))
        composer = composer_of(self)
        kept, self.left_out = drop_inapplicable(combinations, composer)
        return plan_overrides(self, kept, composer=composer)

    def _arguments(self, arguments: Sequence[str], part: Part | None = None) -> list[str]:
        """Returns the config's axes that the command line does not set, followed by the command line's arguments."""
        set_keys = {key_of(argument) for argument in arguments}
        params, config = (self.params, self.config) if part is None else (part.params, part.config)
        merged = [f"{key}={value}" for key, value in params.items() if key_of(key) not in set_keys] + list(arguments)
        merged = with_seeds(merged, _count(merged, "seeds", config))
        return with_folds(merged, _count(merged, "folds", config))


def _count(arguments: Sequence[str], name: str, config: Any) -> int | None:
    """Returns the number of seeds or folds: the last one typed, or else that of the config."""
    typed = [argument.partition("=")[2] for argument in arguments if key_of(argument) == f"sweep.{name}"]
    count = typed[-1] if typed else str(config.sweep[name])
    return int(count) or None if count.isdigit() else None  # an invalid count is refused later

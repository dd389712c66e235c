"""The state of a sweep: its trials, its objective, its store and folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kexp.errors import ConfigError
from kexp.schema import Experiment
from kexp.sweeps.objective import Objective, choose_objectives
from kexp.sweeps.plan.jobs import Jobs
from kexp.sweeps.record.kept_models import KeptModels
from kexp.sweeps.record.trial_records import TrialRecords
from kexp.sweeps.table import LiveTable
from kexp.sweeps.trials import Task, Trial
from kexp.tracking import StoreSettings, command_line

__all__ = ["SweepState"]


class SweepState:
    """The state of a sweep, which a `Session` changes, and which its events, its end and its report read.

    Args:
        trials: the planned trials; a sweeper that searches adds more.
        experiment: any valid trial's config, for the settings that trials share.
        arguments: the overrides that define the sweep, as on the command line.
        store: the store of its runs; None records nothing.
        folder: the folder of the sweep's files, `multirun/NAME`.
        name: the sweep's name.
        command: the whole command line, for `kexp resume`.
        jobs: the trials as Hydra's jobs; None with a launcher of Hydra's.

    Attributes:
        settings: the config's `sweep`.
        tracking: the config's `tracking`.
        verbose: the config's `trainer.verbose`; 0 prints nothing.
        objective: the metric that trials are ranked by; None until a metric is measured.
        objectives: of a search that has several, all of them.
        run_id: the id of the sweep's own run, once it is open.
        notices: sentences for the user, printed at the end.
        remarks: caveats for the reader of the table and of the report.
        logs_models: whether trials whose model is kept log it to MLflow.
        kept_models: the models to keep.
        records: the trials' records.
        table: the live table, while trials run.

    Raises:
        ConfigError: `save.register` needs a model, and none is kept.
    """

    def __init__(
        self,
        trials: list[Trial],
        experiment: Experiment,
        *,
        arguments: Sequence[str],
        store: StoreSettings | None,
        folder: Path,
        name: str,
        command: Mapping[str, Any] | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        self.trials, self.settings, self.arguments = trials, experiment.sweep, tuple(arguments)
        self.store, self.folder, self.name, self.jobs = store, folder, name, jobs
        self.command = dict(command or {"arguments": list(arguments)})
        self.verbose, self.tracking = experiment.trainer.verbose, experiment.tracking
        self.objective: Objective | None = None
        self.objectives: Sequence[Objective] = ()
        self.run_id = ""
        self.notices: list[str] = []
        self.remarks: list[str] = []
        self.table: LiveTable | None = None
        save = experiment.save
        logs_models = experiment.tracking.enabled and save.model
        keep = save.keep if logs_models or save.formats else "none"
        if save.register and keep == "none":
            raise ConfigError.at(
                "save.keep", "must not be none with save.register, which needs the best model", save.keep
            )
        self.logs_models = logs_models and keep != "none"
        self.kept_models = KeptModels(folder, keep)
        self.records = TrialRecords(store, self.task)

    @property
    def resume_command(self) -> str:
        """The command that continues the sweep."""
        return command_line("resume", self.name, store=self.store, experiment=True)

    @property
    def compare_command(self) -> str:
        """The command that ranks the sweep's choices again."""
        return command_line("compare", self.name, store=self.store, experiment=True)

    def task(self, trial: Trial, ask: bool = False) -> Task:
        """Returns the task of a trial, and sets the trial's folder; for `ask` see `Task`."""
        trial.folder = self.folder / (str(trial.number) if self.jobs is None else self.jobs.subdir(trial))
        folder, fingerprint = self.folder.resolve(), trial.fingerprint
        return Task(
            number=trial.number,
            config=_silent(trial.config) if trial.config else {},
            overrides=trial.overrides,
            folder=str(trial.folder.resolve()),
            sweep=str(folder),
            name=f"{self.name}-{trial.number}",
            parent_run_id=self.run_id or None,
            tags={"kexp.trial": str(trial.number), **trial.tags},
            ask=ask,
            # By fingerprint, because the trial may have another number in another attempt.
            checkpoint=str(folder / "checkpoints" / fingerprint[:32]) if fingerprint else "",
            yaml=trial.yaml,
            ordinary=None if trial.ordinary is None else _silent(trial.ordinary),
            state=str(self.kept_models.file(trial) or ""),
            until=trial.until,
            goes_on=trial.goes_on,
            varies=trial.varies,
        )

    def value(self, trial: Trial) -> float | None:
        """Returns a trial's value of the objective; None if it has not measured it."""
        return None if self.objective is None else trial.metrics.get(self.objective.metric)

    def curve(self, trial: Trial) -> dict[int, float]:
        """Reads epoch -> objective of a trial from the store; empty if the store does not have it."""
        if self.store is None or self.objective is None or not trial.run_id:
            return {}
        from kexp.tracking.reading.histories import read_histories

        history = read_histories(self.store, [trial.run_id]).get(trial.run_id, {})
        return dict(history.get(self.objective.metric, ()))

    def choose_objective_from(self, metrics: Mapping[str, float]) -> None:
        """Chooses the objective, once there are metrics to choose from."""
        if self.objective is None and metrics:
            # A search may have several objectives; a table is ranked by the first.
            self.objective, *_ = choose_objectives(metrics, self.settings.objective, self.settings.direction)
            if self.table is not None:
                self.table.objective = self.objective


def _silent(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a trial's config without progress on the screen, which the sweep shows."""
    return {**config, "trainer": {**config["trainer"], "verbose": 0}}

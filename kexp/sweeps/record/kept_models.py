"""Keeps the models of the best trials (`save.keep`): trials write their variables, and models are built last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.errors import KexpError, in_a_line
from kexp.schema import models_kept

if TYPE_CHECKING:
    from kexp.sweeps.objective import Objective
    from kexp.sweeps.trials import Outcome, Task, Trial
    from kexp.tracking import Header

__all__ = ["KeptModels", "save_trial"]


class KeptModels:
    """Keeps the state files of the best trials. A state file has the trained variables of a trial.

    Args:
        folder: the sweep's folder; the files are in its folder `states`.
        keep: the config's `save.keep`.

    Attributes:
        most: the most models to keep; None for all.
        saved: how many models were saved.
    """

    def __init__(self, folder: Path, keep: str) -> None:
        self.folder, self.keep, self.most = folder, keep, models_kept(keep)
        self.saved = 0
        self._best: list[tuple[Trial, Path]] = []  # trials with their state files
        self._saving: dict[int, Trial] = {}

    def file(self, trial: Trial) -> Path | None:
        """Returns the state file of a trial; None if no models are kept."""
        if self.most == 0 or not trial.fingerprint:
            return None
        return (self.folder / "states" / f"{trial.fingerprint[:32]}.npz").resolve()

    def add(self, trial: Trial, objective: Objective | None) -> None:
        """Keeps the state file of a trial that is over if it is among the best so far, and deletes others."""
        file = self.file(trial)
        if file is None or not file.exists():
            return
        if not trial.whole or (objective is not None and objective.metric not in trial.metrics):
            file.unlink()
            return
        self._best.append((trial, file))
        if self.most is None or objective is None:
            return
        self._best.sort(key=lambda each: (*objective.rank_key(each[0].metrics[objective.metric]), each[0].number))
        for _, worse in self._best[self.most :]:
            worse.unlink(missing_ok=True)
        del self._best[self.most :]

    def saving_tasks(self, task: Callable[[Trial], Task], run: Callable[[Trial], Header | None]) -> list[Task]:
        """Returns the tasks that save the models, one for each trial, the best first.

        Args:
            task: returns the task of a trial.
            run: returns the run of a trial; None without a store.
        """
        from kexp.experiment import TrainedState

        made = []
        for rank, trial in enumerate(trial for trial, file in self._best if file.exists()):
            trained = task(trial)
            backend = TrainedState.read(Path(trained.state))[1]["backend"]
            config = trained.config if backend == trained.config["backend"] else trained.ordinary or trained.config
            number = -1 - trial.number
            self._saving[number] = trial
            saves = replace(trained, number=number, config=config, saves=True, header=run(trial), best=rank == 0)
            made.append(saves)
        return made

    def trial(self, number: int) -> Trial:
        """Returns the trial whose model the task with this number saves."""
        return self._saving[number]

    def mark_saved(self, trial: Trial) -> None:
        """Deletes the state file of a trial whose model is saved."""
        self.saved += 1
        if (file := self.file(trial)) is not None:
            file.unlink(missing_ok=True)
        self._best = [each for each in self._best if each[0] is not trial]

    def closing_line(self, objective: Objective | None, again: str) -> str:
        """Returns the closing line on the saved models; empty if there are none.

        Args:
            objective: the metric that trials are ranked by.
            again: the command that saves the model of another trial.
        """
        if not self.saved or objective is None:
            return ""
        best = f"the best {self.saved}" if self.saved > 1 else "the best"
        which = "all trials" if self.most is None else f"{best} by {objective.metric}"
        return f"models   {which} (save.keep={self.keep}); of any other: {again}"


def save_trial(task: Task) -> Outcome:
    """Saves the model of a trial that is over, in a worker."""
    from kexp.experiment import save_kept
    from kexp.schema import check
    from kexp.sweeps.trials import Outcome

    try:
        notices = save_kept(check(task.config), Path(task.state), Path(task.folder), task.header, best=task.best)
        return Outcome(task.number, "FINISHED", notices=notices)
    except KexpError as error:
        return Outcome(task.number, "FAILED", str(error), repeatable=True)
    except Exception as error:
        return Outcome(task.number, "FAILED", in_a_line(error), repeatable=True)

"""Searches without training: a launcher whose trials' metrics are a formula of their config."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from kexp.experiment import load_data, prepare, run_parameters
from kexp.schema import check, component_node
from kexp.sweeps.events import Events
from kexp.sweeps.execution.session import Session
from kexp.sweeps.feed import Feed
from kexp.sweeps.sweep_command import opened_sweeper
from kexp.sweeps.trials import Outcome, Task
from kexp.tracking import CollectedRun

Formula = Callable[[Mapping[str, Any]], float]


def accuracy(config: Mapping[str, Any]) -> float:
    """Best at a learning rate of 0.01; sgd is a little worse than adam, the more so the less momentum it has."""
    optimizer = config["optimizer"]
    lost = 0.05 * (1.0 - optimizer.get("momentum", 0.0)) if optimizer["name"] == "sgd" else 0.0
    return 0.95 - 0.1 * abs(math.log10(optimizer["learning_rate"]) + 2.0) - lost


class FormulaLauncher:
    """Runs `width` trials at a time, epoch by epoch, without training.

    Args:
        formula: the final `val_accuracy` of a config.
        width: trials at a time.
        die_at: the number of the trial that fails at its first epoch, as if its worker had been killed.
        interrupt_after: so many ends, after which Ctrl-C comes.
    """

    def __init__(self, formula: Formula = accuracy, width: int = 1, die_at: int = -1, interrupt_after: int = 0) -> None:
        self.formula, self.width, self.die_at, self.interrupt_after = formula, width, die_at, interrupt_after
        self.started: list[tuple[str, ...]] = []
        self.most_at_once = 0
        self._ends = 0

    def run_tasks(self, tasks: Feed, events: Events) -> None:
        running: list[Iterator[Outcome | None]] = []
        while True:
            while len(running) < self.width and tasks:
                task = tasks.popleft()
                events.on_start(task.number)
                self.started.append(task.overrides)
                running.append(self._train(task, events))
            self.most_at_once = max(self.most_at_once, len(running))
            if not running:
                return
            for each in list(running):
                outcome = next(each)
                if outcome is not None:
                    running.remove(each)
                    if not events.on_end(outcome):
                        return
                    self._ends += 1
                    if self._ends == self.interrupt_after:
                        raise KeyboardInterrupt

    def _train(self, task: Task, events: Events) -> Iterator[Outcome | None]:
        if task.number == self.die_at:
            yield Outcome(task.number, "FAILED", "its process was killed (SIGKILL)")
            return
        folder = Path(task.folder)
        folder.mkdir(parents=True, exist_ok=True)
        tags = {**task.tags, "kexp.fingerprint": _fingerprint(task.config)}
        run = CollectedRun(task.name, folder, tags=tags, parent_run_id=task.parent_run_id)
        run.log_params(run_parameters(task.config))
        final, reason, metrics = self.formula(task.config), None, {}
        for epoch in range(1, task.config["trainer"]["epochs"] + 1):
            value = final * (1 - 0.5**epoch)
            metrics = {"val_accuracy": value, "val_loss": 1 - value + task.config["model"].get("dropout", 0.0)}
            run.log_metrics(metrics, step=epoch)
            reason = events.on_epoch(task.number, epoch, metrics)
            if reason:
                run.set_tags({"kexp.state": "PRUNED", "kexp.reason": reason})
                break
            yield None
        run.end("FINISHED")
        yield Outcome(task.number, "PRUNED" if reason else "FINISHED", reason or "", metrics, 0.01, record=run.record())


def _fingerprint(config: Mapping[str, Any]) -> str:
    experiment = check(config)
    return prepare(experiment, _data(json.dumps(config["data"]))).fingerprint


@lru_cache(maxsize=4)
def _data(node: str) -> Any:
    return load_data(component_node("data", json.loads(node), "data"))


FIXED = [
    "model=linear",
    "trainer.epochs=4",
    "trainer.verbose=0",
    "save=none",
    "tracking.figures=false",
    "hydra/sweeper=optuna",
]
SPACE = [
    "optimizer=sgd,adam",
    "optimizer.learning_rate=tag(log, interval(1e-4,1))",
    "optimizer.momentum=interval(0,0.99)",
]


def search(*arguments: str, launcher: Any = None) -> Session:
    """Runs a search in this process.

    Args:
        arguments: besides `FIXED`.
        launcher: in place of the one that the arguments choose.
    """
    with opened_sweeper([*FIXED, "sweep.objective=val_accuracy", *arguments]) as (sweeper, swept):
        if launcher is not None:
            sweeper.launcher = launcher
        session: Session = sweeper.sweep(swept)
        return session


def shown(session: Session) -> list[tuple[str, ...]]:
    """The chosen overrides of each trial, in order."""
    return [
        tuple(each for each in trial.overrides if each.startswith(("optimizer", "seed")))
        for trial in sorted(session.trials, key=lambda trial: trial.number)
    ]

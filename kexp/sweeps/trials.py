"""The data of a sweep: trials, the tasks that workers receive, and the outcomes that they return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kexp.tracking import Header, RunRecord

__all__ = ["Outcome", "State", "Task", "Trial"]

State = Literal["WAITING", "RUNNING", "FINISHED", "PRUNED", "FAILED", "KILLED", "INVALID", "DONE", "PAUSED"]


@dataclass
class Trial:
    """One trial of a sweep.

    Attributes:
        number: from 0, in the order of the sweep.
        overrides: its overrides, as on the command line.
        config: its plain config; empty if it cannot be composed.
        fingerprint: equal for equal experiments; empty if the trial is invalid.
        state: WAITING, RUNNING, PAUSED, FINISHED, PRUNED, FAILED or KILLED. INVALID: refused before it ran. DONE: its
            result was found in the store.
        reason: why it did not finish.
        run_id: its MLflow run id, once it has one.
        metrics: the last value of each metric.
        epoch: the number of completed epochs.
        attempts: how often it was started.
        duration_s: seconds that it took.
        folder: the folder of its files.
        yaml: its config with interpolations unresolved, if it reads the environment; else empty.
        started_ms: the start of its last attempt, in milliseconds since 1970.
        ordinary: its config without the changes of the launcher, to run if the changed config cannot; None if the
            launcher changed nothing.
        ordinary_fingerprint: the fingerprint of that config.
        until: the epoch after which it pauses; 0 for never.
        goes_on: (trial, epoch) of the paused trial that it continues; None if it starts from the beginning.
        varies: config keys of numbers that change during training.
        tags: tags of its run, in addition to those of every trial.
    """

    number: int
    overrides: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict, repr=False)
    fingerprint: str = field(default="", repr=False)
    state: State = "WAITING"
    reason: str = ""
    run_id: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    epoch: int = 0
    attempts: int = 0
    duration_s: float = 0.0
    folder: Path = Path()
    yaml: str = field(default="", repr=False)
    started_ms: int = field(default=0, repr=False)
    ordinary: dict[str, Any] | None = field(default=None, repr=False)
    ordinary_fingerprint: str = field(default="", repr=False)
    until: int = field(default=0, repr=False)
    goes_on: tuple[int, int] | None = field(default=None, repr=False)
    varies: tuple[str, ...] = field(default=(), repr=False)
    tags: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def over(self) -> bool:
        """Whether its state is final, or paused."""
        return self.state not in ("WAITING", "RUNNING")

    @property
    def good(self) -> bool:
        """Whether it finished, was pruned, or had finished before."""
        return self.state in ("FINISHED", "PRUNED", "DONE")

    @property
    def whole(self) -> bool:
        """Whether its metrics are a final result; those of a pruned trial are not."""
        return self.state in ("FINISHED", "DONE")


@dataclass(frozen=True)
class Task:
    """The task of a worker: plain data, so that it can be pickled. The fields without a comment are as in `Trial`."""

    number: int
    config: Mapping[str, Any]
    overrides: tuple[str, ...]
    folder: str
    name: str
    parent_run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    ask: bool = False  # whether the trial asks after each epoch whether to continue
    checkpoint: str = ""  # the folder of checkpoints, to resume from and to write to
    yaml: str = ""  # the config with interpolations unresolved; empty if nothing must stay unresolved
    state: str = ""  # the file to write the trained variables to; the best models are saved later
    saves: bool = False  # do not train: save the model whose variables are in `state`
    header: Header | None = None  # the run that the saved model is added to
    best: bool = False  # whether it is the best trial, whose model is registered and whose figures are drawn
    ordinary: Mapping[str, Any] | None = None  # the config to run if this one cannot be a lane
    sweep: str = ""  # the sweep's folder; the parent of `folder` unless given
    until: int = 0  # this and the next two are for the engine of lanes
    goes_on: tuple[int, int] | None = None
    varies: tuple[str, ...] = ()

    @property
    def sweep_folder(self) -> Path:
        """The sweep's folder."""
        return Path(self.sweep) if self.sweep else Path(self.folder).parent


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial that is over or paused, as a worker returns it."""

    number: int
    state: State
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    duration_s: float = 0.0
    record: RunRecord | None = None
    repeatable: bool = False  # whether another attempt would fail in the same way
    notices: Sequence[tuple[str, str]] = ()  # (label, text) of the lines that a single run prints

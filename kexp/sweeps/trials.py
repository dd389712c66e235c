"""A sweep's trials: what each is, and what became of it."""

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
        overrides: what sets it apart, as on the command line.
        config: its plain config; empty where it cannot be composed.
        fingerprint: what makes another run the same; empty where it is invalid.
        state: WAITING, RUNNING, FINISHED, PRUNED, FAILED, KILLED; INVALID was refused before it ran; DONE was found
            finished in the store.
        reason: why it did not finish.
        run_id: its run in MLflow, once there is one.
        metrics: the last value of each.
        epoch: epochs done.
        attempts: how often it was started.
        duration_s: seconds it took.
        folder: where its files are.
        yaml: its config with interpolations unresolved, where it reads the environment; empty elsewhere.
        started_ms: when its last attempt began, milliseconds since 1970.
        ordinary: its config without what the launcher changed in it, for where that cannot be run; None where it
            changed nothing.
        ordinary_fingerprint: of that config.
        until: epochs after which it is paused; 0 for never.
        goes_on: the trial, and its epoch, where it was paused and this one goes on; None where it begins.
        varies: config keys of numbers that are changed while it trains.
        tags: of its run, besides those that every trial has.
    """

    number: int
    overrides: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    state: State = "WAITING"
    reason: str = ""
    run_id: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    epoch: int = 0
    attempts: int = 0
    duration_s: float = 0.0
    folder: Path = Path()
    yaml: str = ""
    started_ms: int = 0
    ordinary: dict[str, Any] | None = None
    ordinary_fingerprint: str = ""
    until: int = 0
    goes_on: tuple[int, int] | None = None
    varies: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in ("WAITING", "RUNNING")

    @property
    def good(self) -> bool:
        """Whether it ended as it should."""
        return self.state in ("FINISHED", "PRUNED", "DONE")

    @property
    def whole(self) -> bool:
        """Whether its metrics are a result: those of a pruned trial are of the epoch at which it was given up."""
        return self.state in ("FINISHED", "DONE")


@dataclass(frozen=True)
class Task:
    """What a worker is told to do: plain data, so that it travels."""

    number: int
    config: Mapping[str, Any]
    overrides: tuple[str, ...]
    folder: str
    name: str
    parent_run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    ask: bool = False  # whether each epoch waits for a word on whether to go on
    checkpoint: str = ""  # the folder of what an interrupted attempt left, and of what this one leaves if interrupted
    yaml: str = ""  # the config with interpolations unresolved; empty where it is as good resolved
    state: str = ""  # the file in which to leave the trained variables; the models of the best are saved later
    saves: bool = False  # no training: save the model of the trial that left its variables there
    header: Header | None = None  # of the run that its model is added to
    best: bool = False  # whether it is the sweep's best, whose model is registered and whose figures are drawn
    ordinary: Mapping[str, Any] | None = None  # the config to run where this one cannot be a lane
    sweep: str = ""  # the sweep's folder; the one that the trial's is in unless given
    until: int = 0  # see `Trial`, as for the two that follow; they are the engine's
    goes_on: tuple[int, int] | None = None
    varies: tuple[str, ...] = ()

    @property
    def sweep_folder(self) -> Path:
        """The sweep's folder."""
        return Path(self.sweep) if self.sweep else Path(self.folder).parent


@dataclass(frozen=True)
class Outcome:
    """What a worker says when a trial is over, or paused."""

    number: int
    state: State
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    duration_s: float = 0.0
    record: RunRecord | None = None
    repeatable: bool = False  # the same will happen again: no use in another attempt
    said: Sequence[tuple[str, str]] = ()  # (label, text) of what a single run would have told

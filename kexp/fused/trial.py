"""What goes into the engine and what comes out: trials, and lanes' results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kexp.experiment import Prepared, TrainedState, build_compiled
from kexp.fused.shared import TRACING_LOCK
from kexp.training import Checkpointing, History

if TYPE_CHECKING:
    import keras

__all__ = ["LaneResult", "PausedLane", "Trial"]


@dataclass(frozen=True, eq=False)
class PausedLane:
    """A lane that was taken out of its program between two epochs: what it, or a copy of it, goes on with.

    Attributes:
        epoch: epochs done.
        state: the lane's variables, on the device where there is one.
        history: metrics until then.
        callbacks: the state of its callbacks, and the arrays of that state; see
            `kexp.training.checkpoints.state.capture_callbacks`.
    """

    epoch: int
    state: list[Any]
    history: History
    callbacks: tuple[list[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Trial:
    """One experiment to train as a lane.

    Attributes:
        key: the caller's name for it; comes back with the result.
        prepared: settled experiment and splits.
        checkpoint: when and where its checkpoints are written, and looked for first; None for never.
        pause_at: epochs after which it is parked, if it has not ended by then; None for never.
        goes_on: where it goes on from; None where it begins.
        varies: config keys of numbers that are to be changed while it trains.
    """

    key: Any
    prepared: Prepared
    checkpoint: Checkpointing | None = None
    pause_at: int | None = None
    goes_on: PausedLane | None = None
    varies: tuple[str, ...] = ()


@dataclass(eq=False)
class LaneResult:
    """How a trial ended.

    Attributes:
        trial: which.
        status: "finished" (early stopping included), "pruned", "diverged" (the loss is no finite number), "failed" or
            "paused".
        reason: why it ended before its last epoch; empty where it did not.
        history: metrics by epoch.
        test: the metrics on the test rows, without the prefix `test_`; empty without test rows.
        state: the variables at the end; None for a failed trial.
        weights: as `model.get_weights()` gives and `model.set_weights` takes.
        width: lanes of the program; part of what decides the last bits.
        executor: how steps were run.
        group: number of the group.
        narrowed: the program had fewer lanes than it should have had.
        error: what a failed trial raised.
        parked: what a paused trial goes on with.
    """

    trial: Trial
    status: Literal["finished", "pruned", "diverged", "failed", "paused"]
    reason: str
    history: History
    test: dict[str, float] = field(default_factory=dict)
    state: TrainedState | None = None
    weights: list[Any] = field(default_factory=list)
    width: int = 0
    executor: str = "scan"
    group: int = 0
    narrowed: bool = False
    error: Exception | None = None
    parked: PausedLane | None = None

    @property
    def tags(self) -> dict[str, str]:
        """What its run is tagged with: what decides the last bits besides its config."""
        found = {"kexp.fused": f"group {self.group}, {self.width} lanes, {self.executor}"}
        return {**found, "kexp.fewer_lanes": str(self.width)} if self.narrowed else found

    def build_model(self) -> keras.Model:
        """The trained model, compiled, with its optimizer's state: what a single run ends with.

        Raises:
            ValueError: the trial failed and left no weights.
        """
        if self.state is None:
            raise ValueError(f"trial {self.trial.key} failed and has no model: {self.reason}")
        with TRACING_LOCK:
            model = build_compiled(self.trial.prepared)
        self.state.assign_to(model)
        return model

"""The engine's input and output: trials, and the results of their lanes."""

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
    """A lane that was taken out of its program between two epochs; it, or a copy of it, can resume from this.

    Attributes:
        epoch: completed epochs.
        state: the lane's variables; on the device, unless a program uses several.
        history: the metrics of the completed epochs.
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
        key: the caller's identifier, by which the result is recognized.
        prepared: the checked experiment and its splits.
        checkpoint: where to look for a checkpoint and when to write one; None for no checkpoints.
        pause_at: the epoch after which the lane is paused, if training has not ended by then; None for never.
        resume_from: the paused lane that it continues; None to start from the beginning.
        varies: config keys of numbers that the caller will change during training.
    """

    key: Any
    prepared: Prepared
    checkpoint: Checkpointing | None = None
    pause_at: int | None = None
    resume_from: PausedLane | None = None
    varies: tuple[str, ...] = ()


@dataclass(eq=False)
class LaneResult:
    """The result of a trial.

    Attributes:
        trial: the trial.
        status: "finished" (early stopping included), "pruned", "diverged" (the loss is not finite), "failed" or
            "paused".
        reason: why it ended before its last epoch; empty if it did not.
        history: the metrics of each epoch.
        test: the metrics on the test rows, without the prefix `test_`; empty without test rows.
        state: the variables at the end; None for a failed or a paused trial.
        weights: the model's weights, in the order of `model.get_weights()`.
        width: lanes of the program, on which the last bits of a result depend.
        executor: how the program ran its steps; see `Program.executor`.
        group: the number of the group.
        narrowed: whether the program had fewer lanes than planned.
        error: the exception of a failed trial.
        paused: what a paused trial resumes from.
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
    paused: PausedLane | None = None

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its run, which name what the last bits depend on besides the config."""
        tags = {"kexp.fused": f"group {self.group}, {self.width} lanes, {self.executor}"}
        return {**tags, "kexp.fewer_lanes": str(self.width)} if self.narrowed else tags

    def build_model(self) -> keras.Model:
        """Builds the trained model, compiled, with its optimizer's state, as a single run leaves it.

        Raises:
            ValueError: the trial failed and left no weights.
        """
        if self.state is None:
            raise ValueError(f"trial {self.trial.key} failed and has no model: {self.reason}")
        with TRACING_LOCK:
            model = build_compiled(self.trial.prepared)
        self.state.assign_to(model)
        return model

"""`trainer.engine=compiled`: trains one experiment by the fused engine, to the same bits as a lane of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError, TrainingError
from kexp.experiment import Prepared, Trained
from kexp.fused.engine import train_one
from kexp.fused.lanes.callbacks import CallbackError
from kexp.training import Checkpointing, History, notify_epoch, notify_resumed

if TYPE_CHECKING:
    import keras

    from kexp.fused.trial import Trial

__all__ = ["fit_compiled"]


def fit_compiled(
    prepared: Prepared,
    model: keras.Model,
    *,
    listeners: Sequence[Any] = (),
    checkpoint: Checkpointing | None = None,
) -> Trained:
    """Trains an experiment as the only lane of a program, and assigns the trained variables to the model.

    Args:
        prepared: an experiment on the JAX backend.
        model: its model, compiled; receives the trained variables, and those of its optimizer.
        listeners: called with (epoch, metrics) after each epoch; a listener that returns a string ends training.
        checkpoint: where to look for a checkpoint and when to write one; None for no checkpoints.

    Returns:
        The history, the test's metrics and the tags of the run.

    Raises:
        ConfigError: the experiment cannot be a lane, or the checkpoint belongs to another experiment.
        TrainingError: the loss is not finite, or a callback failed. The error's `history` holds the metrics so far.
    """

    def epoch_ended(trial: Trial, epoch: int, metrics: Mapping[str, float]) -> str:
        return notify_epoch(listeners, epoch, metrics)

    def resumed(trial: Trial, history: History) -> None:
        notify_resumed(listeners, history)

    result = train_one(prepared, on_epoch=epoch_ended, on_resume=resumed, checkpoint=checkpoint)
    if isinstance(result.error, ConfigError):
        raise result.error
    if isinstance(result.error, CallbackError) and result.error.only_here:
        raise ConfigError(f"trainer.engine: compiled cannot run this experiment; {result.reason}")
    if result.status in ("diverged", "failed"):
        error = TrainingError(result.reason)
        error.history = result.history  # type: ignore[attr-defined]
        raise error
    assert result.state is not None
    result.state.assign_to(model)
    return Trained(result.history, result.test, result.tags)

"""Who is told while training runs, and how one of them ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from kexp.training.history import History

__all__ = ["EpochListener", "ResumeListener", "StepListener", "Stop", "tell_epoch", "tell_resumed", "tell_step"]


class Stop(Exception):  # noqa: N818 - no error: a listener's wish
    """Raised by a listener to end training after the epoch that it was told of.

    Args:
        reason: why, for a person; becomes `History.stopped`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EpochListener(Protocol):
    """Told after each epoch that is trained here; epochs that a checkpoint brings back are not told again."""

    def __call__(self, epoch: int, metrics: Mapping[str, float], /) -> Any:
        """Epoch `epoch`, counted from 1, measured `metrics`. A string returned ends training, for that reason."""


@runtime_checkable
class StepListener(Protocol):
    """A listener that is also told within epochs."""

    def step(self, epoch: int, step: int, steps: int, metrics: Mapping[str, float], /) -> None:
        """`step` of the `steps` of an epoch are done; `metrics` are the epoch's so far."""


@runtime_checkable
class ResumeListener(Protocol):
    """A listener that wants to know what a checkpoint brought back."""

    def resumed(self, history: History, /) -> None:
        """Training goes on after epoch `history.resumed_from`; told once, before the first new epoch."""


def tell_epoch(listeners: Sequence[EpochListener], epoch: int, metrics: Mapping[str, float]) -> str:
    """Tells every listener, and returns the first reason to stop; empty where there is none."""
    reason = ""
    for listener in listeners:
        try:
            answer = listener(epoch, metrics)
        except Stop as stop:
            answer = stop.reason
        reason = reason or (answer if isinstance(answer, str) else "")
    return reason


def tell_step(
    listeners: Sequence[EpochListener], epoch: int, step: int, steps: int, metrics: Mapping[str, float]
) -> None:
    """Tells the listeners that listen within epochs."""
    for listener in listeners:
        if isinstance(listener, StepListener):
            listener.step(epoch, step, steps, metrics)


def tell_resumed(listeners: Sequence[EpochListener], history: History) -> None:
    """Tells the listeners that ask what was brought back."""
    for listener in listeners:
        if isinstance(listener, ResumeListener):
            listener.resumed(history)

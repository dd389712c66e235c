"""Listeners: callables that receive the metrics after each epoch and may stop training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from kexp.training.history import History

__all__ = ["EpochListener", "ResumeListener", "StepListener", "Stop", "notify_epoch", "notify_resumed", "notify_step"]


class Stop(Exception):  # noqa: N818 - a request, not an error
    """Raised by a listener to end training after the epoch that it was called for.

    Args:
        reason: one phrase for the user; becomes `History.stopped`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EpochListener(Protocol):
    """A listener, called after each epoch; not called again for epochs that a checkpoint restored."""

    def __call__(self, epoch: int, metrics: Mapping[str, float], /) -> Any:
        """Receives the metrics of an epoch.

        Args:
            epoch: the epoch's number, from 1.
            metrics: metric -> value.

        Returns:
            A string to end training for that reason; anything else is ignored.

        Raises:
            Stop: ends training as well.
        """


@runtime_checkable
class StepListener(Protocol):
    """A listener that is also called within epochs."""

    def step(self, epoch: int, step: int, steps: int, metrics: Mapping[str, float], /) -> None:
        """Receives the metrics of an unfinished epoch.

        Args:
            epoch: the epoch's number, from 1.
            step: steps done in it.
            steps: steps of the whole epoch.
            metrics: metric -> its value over the steps done.
        """


@runtime_checkable
class ResumeListener(Protocol):
    """A listener that also receives the history that a checkpoint restored."""

    def resumed(self, history: History, /) -> None:
        """Receives the restored history once, before the first new epoch.

        Args:
            history: the epochs up to `history.resumed_from`.
        """


def notify_epoch(listeners: Sequence[EpochListener], epoch: int, metrics: Mapping[str, float]) -> str:
    """Calls every listener after an epoch.

    Args:
        listeners: all are called, even after one asked to stop.
        epoch: the epoch's number, from 1.
        metrics: metric -> value.

    Returns:
        The first reason to stop; empty if no listener gave one.
    """
    reason = ""
    for listener in listeners:
        try:
            answer = listener(epoch, metrics)
        except Stop as stop:
            answer = stop.reason
        reason = reason or (answer if isinstance(answer, str) else "")
    return reason


def notify_step(
    listeners: Sequence[EpochListener], epoch: int, step: int, steps: int, metrics: Mapping[str, float]
) -> None:
    """Calls the listeners that have a `step` method; arguments as of `StepListener.step`."""
    for listener in listeners:
        if isinstance(listener, StepListener):
            listener.step(epoch, step, steps, metrics)


def notify_resumed(listeners: Sequence[EpochListener], history: History) -> None:
    """Calls the listeners that have a `resumed` method; arguments as of `ResumeListener.resumed`."""
    for listener in listeners:
        if isinstance(listener, ResumeListener):
            listener.resumed(history)

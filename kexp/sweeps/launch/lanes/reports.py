"""An engine's reports to its sweep, each epoch before the end of its trial, though programs run in several threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from kexp.sweeps.launch.lanes.messages import Channel, Epochs
from kexp.sweeps.trials import Task

__all__ = ["Reports"]

_GATHER_S = 0.1  # epochs gather so long before they are sent


class Reports:
    """What an engine sends.

    Args:
        channel: to the sweep.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: deque[tuple[int, int, Mapping[str, float]]] = deque()  # programs add to it while it is sent
        self._sent = 0.0
        self._sending = threading.Lock()

    def epoch(self, task: Task, epoch: int, metrics: Mapping[str, float], ask: bool) -> str | None:
        """Reports an epoch.

        Args:
            task: the trial.
            epoch: counted from 1.
            metrics: of the epoch.
            ask: whether to wait for an answer.

        Returns:
            Why the trial is to end, where the sweep says so.
        """
        ended = task.number, epoch, dict(metrics)
        if not ask:
            self._waiting.append(ended)
            if time.monotonic() - self._sent > _GATHER_S:
                with self._sending:
                    self._send_epochs()
            return None
        with self._sending:  # held from here on: an outcome sent between would take the question with it
            self._waiting.append(ended)
            self._send_epochs(ask=True)
            answer: str | None = self._channel.recv()
            return answer

    def send(self, message: Any) -> None:
        """Sends a message, after all epochs that were reported before."""
        with self._sending:
            self._send_epochs()
            self._channel.send(message)

    def _send_epochs(self, ask: bool = False) -> None:
        epochs = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if epochs:
            self._channel.send(Epochs(epochs, ask))
        self._sent = time.monotonic()

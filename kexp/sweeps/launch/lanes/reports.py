"""Sends an engine's reports to its sweep in order: all epochs of a trial before its outcome, from several threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from kexp.sweeps.launch.lanes.messages import Channel, Epochs
from kexp.sweeps.trials import Task

__all__ = ["Reports"]

_INTERVAL_S = 0.1  # the least time between two messages with epochs that need no answer


class Reports:
    """Sends reports; to be used by several threads.

    Args:
        channel: the connection to the sweep.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: deque[tuple[int, int, Mapping[str, float]]] = deque()  # other threads append while it is sent
        self._sent = 0.0
        self._sending = threading.Lock()

    def epoch(self, task: Task, epoch: int, metrics: Mapping[str, float], ask: bool) -> str | None:
        """Reports an epoch.

        Args:
            task: the trial.
            epoch: its number, from 1.
            metrics: metric -> value.
            ask: whether to wait for an answer.

        Returns:
            The reason to end the trial now; None to continue.
        """
        ended = task.number, epoch, dict(metrics)
        if not ask:
            self._waiting.append(ended)
            if time.monotonic() - self._sent > _INTERVAL_S:
                with self._sending:
                    self._send_epochs()
            return None
        with self._sending:  # held until the answer, which another thread's message would take
            self._waiting.append(ended)
            self._send_epochs(ask=True)
            answer: str | None = self._channel.recv()
            return answer

    def send(self, message: Any) -> None:
        """Sends a message, after the epochs that were reported before."""
        with self._sending:
            self._send_epochs()
            self._channel.send(message)

    def _send_epochs(self, ask: bool = False) -> None:
        epochs = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if epochs:
            self._channel.send(Epochs(epochs, ask))
        self._sent = time.monotonic()

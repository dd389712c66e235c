"""Messages of an actor to the driver, and the driver's answers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

__all__ = ["Mailbox"]

_NEWS_S = 20.0  # the longest that a call for news waits for some


class Mailbox:
    """The actor's side. Messages stay in a list, and the driver says how many have arrived: a call that fails on its
    way can be repeated.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._attempt = -1
        self._messages: list[Any] = []
        self._answers: dict[int, str | None] = {}

    def begin(self, attempt: int) -> None:
        """Forgets the messages of an earlier job."""
        with self._change:
            self._attempt, self._messages, self._answers = attempt, [], {}
            self._change.notify_all()

    def put(self, message: Any) -> None:
        """Leaves a message for the driver."""
        with self._change:
            self._messages.append(message)
            self._change.notify_all()

    def answer(self) -> str | None:
        """Waits for the driver's answer to the last message."""
        with self._change:
            place = len(self._messages) - 1
            self._change.wait_for(lambda: place in self._answers)
            return self._answers.pop(place)

    def news(self, attempt: int, heard: int, answer: str | None) -> Sequence[Any]:
        """The messages that have not arrived; waits a while where there are none.

        Args:
            attempt: of which job.
            heard: how many have arrived.
            answer: to the last that has; counts where one is waited for.
        """
        with self._change:
            if attempt == self._attempt and heard:
                self._answers[heard - 1] = answer
                self._change.notify_all()
            self._change.wait_for(lambda: attempt == self._attempt and len(self._messages) > heard, _NEWS_S)
            return self._messages[heard:] if attempt == self._attempt else []

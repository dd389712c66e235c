"""What an actor says to the driver, and what it is answered."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

__all__ = ["Talk"]

_NEWS_S = 20.0  # the longest that a call for news waits for some


class Talk:
    """The actor's side. What there is to say stays in a list, and the driver says how much of it has arrived: a call
    that fails on its way can be repeated.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._attempt = -1
        self._said: list[Any] = []
        self._answers: dict[int, str | None] = {}

    def begin(self, attempt: int) -> None:
        """Forgets what was said of an earlier job."""
        with self._change:
            self._attempt, self._said, self._answers = attempt, [], {}
            self._change.notify_all()

    def say(self, word: Any) -> None:
        """Leaves a word for the driver."""
        with self._change:
            self._said.append(word)
            self._change.notify_all()

    def answer(self) -> str | None:
        """Waits for what the driver has to say to the last word."""
        with self._change:
            place = len(self._said) - 1
            self._change.wait_for(lambda: place in self._answers)
            return self._answers.pop(place)

    def news(self, attempt: int, heard: int, answer: str | None) -> Sequence[Any]:
        """What there is to say; waits for it a while.

        Args:
            attempt: of which job.
            heard: how much of it has arrived.
            answer: to the last word that has; counts where one is waited for.
        """
        with self._change:
            if attempt == self._attempt and heard:
                self._answers[heard - 1] = answer
                self._change.notify_all()
            self._change.wait_for(lambda: attempt == self._attempt and len(self._said) > heard, _NEWS_S)
            return self._said[heard:] if attempt == self._attempt else []

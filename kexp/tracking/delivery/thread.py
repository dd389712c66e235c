"""The thread that brings what waits to the store: when it tries, when it tries again, and when it gives up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from kexp.errors import StoreError, in_a_line
from kexp.system.disk import full_disk, is_disk_full, mentions_disk_full
from kexp.tracking.delivery.waiting import Standing

__all__ = ["BRIEF_S", "DeliveryThread"]

BRIEF_S = 2.0
"""How long a store that is away is tried where there is no use in waiting."""

_RETRY_S = 5.0  # at most so long between two attempts while the store is away
_LAST_RETRY_S = 1.0  # the same once nothing more is to come


class DeliveryThread:
    """Delivers at intervals and when woken; at the end until nothing is left, or the store has been away for too long.

    Args:
        name: the thread's.
        deliver: brings what waits to the store, or a part of it; raises where the store is away.
        left: how much waits.
        interval_s: between two deliveries; longer each time while the store is away.
        patience_s: how long a store that is away is waited for at the end, before what is left stays on disk.

    Attributes:
        failure: why the store did not take what waited at the last attempt; empty where it did.
        finishing: whether nothing more is to come.
        given_up: whether what is left is to stay on disk.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[], None],
        left: Callable[[], int],
        *,
        interval_s: float,
        patience_s: float,
    ) -> None:
        self._deliver, self._left = deliver, left
        self._interval_s, self._patience_s = interval_s, patience_s
        self.failure, self._waits_s = "", patience_s
        self.finishing = self.given_up = False
        self._woken = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begins to deliver."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Has it deliver now, not when its interval is over."""
        self._set("_woken")

    def finish(self, patience_s: float | None = None) -> None:
        """Says that nothing more is to come: the thread ends once all is delivered, or the store stays away.

        Args:
            patience_s: in place of the one given at the beginning.
        """
        if patience_s is not None:
            self._patience_s = patience_s
        self._set("finishing")

    def give_up(self) -> None:
        """Ends the thread after its present attempt."""
        self._set("given_up")

    def standing(self, wait_s: float) -> Standing:
        """How it stands when it is over, or `wait_s` have passed."""
        self._thread.join(wait_s)
        return Standing(self.failure, self._waits_s, not self.is_alive())

    def _set(self, flag: str) -> None:
        with self._change:
            setattr(self, flag, True)
            self._change.notify()

    def _work(self) -> None:
        pause = self._interval_s
        last_taken, left = 0.0, 0
        while not self.given_up:
            with self._change:
                if not (self._woken or self.given_up or (self.finishing and not self.failure)):
                    self._change.wait(min(pause, _LAST_RETRY_S) if self.finishing else pause)
                self._woken, finishing = False, self.finishing
            try:
                self._deliver()
                self.failure = ""
            except Exception as error:  # it is away; a thread that dies would lose what waits without a word
                told = str(error) if isinstance(error, StoreError) else in_a_line(error)
                self.failure = full_disk(error) if is_disk_full(error) else told
            before = left
            with contextlib.suppress(OSError):  # the folder is gone, say
                left = self._left()
            pause = min(2 * pause, _RETRY_S) if self.failure else self._interval_s
            if not finishing:
                continue
            if not left and not self.failure:
                return
            if not last_taken or left < before:  # a slow store is waited for, not one that is away
                last_taken = time.monotonic()
            patience_s = min(self._patience_s, BRIEF_S) if mentions_disk_full(self.failure) else self._patience_s
            self._waits_s = max(last_taken + patience_s - time.monotonic(), 0.0)
            if not self._waits_s:
                return

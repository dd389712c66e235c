"""The thread that delivers to the store at intervals, retries while the store cannot be reached, and gives up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from kexp.errors import StoreError, in_a_line
from kexp.system.disk import full_disk, is_disk_full, mentions_disk_full
from kexp.tracking.delivery.progress import DeliveryState

__all__ = ["BRIEF_S", "DeliveryThread"]

BRIEF_S = 2.0
"""The patience with a store that cannot be reached, if waiting longer is of no use."""

_RETRY_S = 5.0  # the longest pause between two attempts while the store is away
_LAST_RETRY_S = 1.0  # the same after `finish`


class DeliveryThread:
    """Delivers at intervals and when it is woken; after `finish`, until nothing is left or the store stays away.

    Args:
        name: the thread's name.
        deliver: delivers what waits, or a part of it; raises if the store is away.
        left: returns how much waits.
        interval_s: the pause between two deliveries; it grows while the store is away.
        patience_s: how long to wait for a store that is away after `finish`; what is left then stays on disk.

    Attributes:
        failure: why the last attempt failed; empty if it succeeded.
        finishing: whether `finish` was called.
        given_up: whether `give_up` was called.
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
        self.failure, self._remaining_s = "", patience_s
        self.finishing = self.given_up = False
        self._woken = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Returns whether the thread has not ended."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Starts the next delivery now."""
        self._set_flag("_woken")

    def finish(self, patience_s: float | None = None) -> None:
        """Ends the thread when everything is delivered, or its patience is over. Nothing may be added after this call.

        Args:
            patience_s: replaces the thread's patience.
        """
        if patience_s is not None:
            self._patience_s = patience_s
        self._set_flag("finishing")

    def give_up(self) -> None:
        """Ends the thread after its current attempt. What is left stays on disk."""
        self._set_flag("given_up")

    def state(self, wait_s: float) -> DeliveryState:
        """Returns the state of the delivery when it has ended, at the latest after `wait_s`."""
        self._thread.join(wait_s)
        return DeliveryState(self.failure, self._remaining_s, not self.is_alive())

    def _set_flag(self, flag: str) -> None:
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
            except Exception as error:  # a thread that dies would silently deliver nothing more
                reason = str(error) if isinstance(error, StoreError) else in_a_line(error)
                self.failure = full_disk(error) if is_disk_full(error) else reason
            before = left
            with contextlib.suppress(OSError):  # for example, the folder was deleted
                left = self._left()
            pause = min(2 * pause, _RETRY_S) if self.failure else self._interval_s
            if not finishing:
                continue
            if not left and not self.failure:
                return
            if not last_taken or left < before:  # a store that takes something is slow, not away
                last_taken = time.monotonic()
            patience_s = min(self._patience_s, BRIEF_S) if mentions_disk_full(self.failure) else self._patience_s
            self._remaining_s = max(last_taken + patience_s - time.monotonic(), 0.0)
            if not self._remaining_s:
                return

"""The thread that brings a run's rows from its outbox to the store."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from kexp.errors import StoreError, in_a_line
from kexp.tracking.client import check_reachable, client_for
from kexp.tracking.delivery import RunSender, draw, load_for
from kexp.tracking.outbox import Header, Outbox
from kexp.tracking.rows import Row
from kexp.tracking.settings import StoreSettings

__all__ = ["Ending", "Writer"]


@dataclass(frozen=True)
class Ending:
    """What became of a delivery: why the store did not take the last rows, and why it refused some; empty for none."""

    failure: str = ""
    refused: tuple[str, ...] = ()


class Writer:
    """The one thread that talks to the store. It gives up never while the run lives, and waits longer each time.

    It reads what there is to deliver from the outbox's files, so it need not be in the process that writes them. All
    that delivery imports is imported by this thread: two that import modules of one package may meet one half made.

    Args:
        outbox: the run's rows.
        header: the run.
        settings: the store's.
        coming: kinds of rows that are still to come; what they take is imported when there is nothing else to do.
    """

    def __init__(self, outbox: Outbox, header: Header, settings: StoreSettings, coming: Collection[str] = ()) -> None:
        self._outbox, self._header, self._settings = outbox, header, settings
        self._coming = list(coming)
        self._awake = threading.Condition()
        self._woken = self._finishing = False
        self._deadline = float("inf")
        self._failure = ""
        self._failures_at_end = 0
        self._heartbeat_due = time.monotonic() + settings.heartbeat_interval_s
        self._sender: RunSender | None = None
        self._thread = threading.Thread(target=self._work, name="kexp-tracking", daemon=True)

    def start(self) -> None:
        """Begins to deliver, with what an interrupted run of the same folder has left first."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it has not finished."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Has it look for rows now, not when its interval is over."""
        with self._awake:
            self._woken = True
            self._awake.notify()

    def finish(self, timeout_s: float) -> Ending:
        """Delivers what is left and stops, at the latest after about `timeout_s`."""
        with self._awake:
            self._finishing = True
            self._deadline = time.monotonic() + timeout_s
            self._awake.notify()
        self._thread.join(timeout_s + 1)
        late = f"it did not take all within {timeout_s:g} s" if self._thread.is_alive() else ""
        return Ending(self._failure or late, () if self._sender is None else tuple(self._sender.refused))

    def _work(self) -> None:
        pause = self._settings.flush_interval_s
        while True:
            with self._awake:
                if not self._finishing and not self._woken:
                    self._awake.wait(pause)
                self._woken, finishing = False, self._finishing
            if self._deliver():
                pause = self._settings.flush_interval_s
                if finishing:
                    return
                self._load()
            else:
                pause = min(pause * 2, 30.0)
                if finishing and self._give_up():
                    return

    def _deliver(self) -> bool:
        try:
            self._outbox.flush()
            rows = list(self._outbox.rows(self._delivered()))
            self._draw(rows)
            if rows:
                check_reachable(StoreSettings(uri=self._header.uri))  # MLflow itself takes 15 s to notice
            if self._sender is None:
                self._sender = RunSender(client_for(self._header.uri), self._header, self._outbox)
            self._sender.deliver(rows)
            self._beat()
            self._failure = ""
            return True
        except StoreError as error:  # it is away
            self._failure = str(error)
            return False
        except Exception as error:  # a thread that dies would lose the run's rows without a word
            self._failure = in_a_line(error)
            return False

    def _delivered(self) -> int:
        return (self._outbox.cursor() if self._sender is None else self._sender.cursor).delivered

    def _draw(self, rows: list[tuple[int, Row]]) -> None:
        """Figures are drawn whether or not the store is there to take them."""
        for _, row in rows:
            for figure in row.get("figures", ()):
                with contextlib.suppress(Exception):  # shows when it is delivered
                    draw(self._outbox.run_folder, figure)

    def _load(self) -> None:
        while self._coming and not self._finishing:
            load_for(self._coming.pop(0))

    def _beat(self) -> None:
        if time.monotonic() >= self._heartbeat_due and not self._finishing:
            self._heartbeat_due = time.monotonic() + self._settings.heartbeat_interval_s
            with contextlib.suppress(Exception):
                client_for(self._header.uri).set_tag(self._header.run_id, "kexp.heartbeat", str(int(time.time())))

    def _give_up(self) -> bool:
        """At the end a store that is locked is waited for; one that does not answer is tried three times."""
        self._failures_at_end += 1
        if "locked" not in self._failure and self._failures_at_end >= 3:
            return True
        time.sleep(min(1.0, max(0.0, self._deadline - time.monotonic())))
        return time.monotonic() >= self._deadline

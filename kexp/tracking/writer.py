"""The thread that brings a run's rows from its outbox to the store."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from pathlib import Path

from kexp.tracking.client import client_for
from kexp.tracking.delivery import AwayError, Courier
from kexp.tracking.outbox import Header, Outbox, Row
from kexp.tracking.settings import StoreSettings

__all__ = ["Writer"]


class Writer:
    """The one thread that talks to the store. It gives up never while the run lives, and waits longer each time."""

    def __init__(self, outbox: Outbox, header: Header, settings: StoreSettings) -> None:
        self._outbox, self._header, self._settings = outbox, header, settings
        self._rows: deque[tuple[int, Row]] = deque()
        self._awake = threading.Condition()
        self._finishing = False
        self._deadline = float("inf")
        self._failure = ""
        self._failures_at_end = 0
        self._heartbeat_due = time.monotonic() + settings.heartbeat_interval_s
        self._courier: Courier | None = None
        self._thread = threading.Thread(target=self._work, name="kexp-tracking", daemon=True)

    def start(self) -> None:
        """Begins to deliver, with what an interrupted run of the same folder has left first."""
        self._rows.extend(self._outbox.rows(self._outbox.cursor().delivered))
        self._thread.start()

    def put(self, offset: int, row: Row) -> None:
        """Hands over a row that is on disk."""
        with self._awake:
            self._rows.append((offset, row))

    def finish(self, timeout_s: float) -> None:
        """Delivers what is left and stops, at the latest after about `timeout_s`."""
        with self._awake:
            self._finishing = True
            self._deadline = time.monotonic() + timeout_s
            self._awake.notify()
        self._thread.join(timeout_s + 1)

    @property
    def models(self) -> dict[str, str]:
        """MLflow's ids of the models delivered."""
        return {} if self._courier is None else self._courier.cursor.models

    def notice(self, folder: Path) -> str:
        """What the user should know about delivery: nothing when all is well."""
        waiting = self._outbox.waiting()
        if waiting:
            away = f" ({self._failure})" if self._failure else ""
            how = f"deliver them with `kexp sync {folder}`"
            return f"The tracking store is away{away}: {waiting} rows wait in {folder}; {how}."
        if self._courier is not None and self._courier.refused:
            refused = self._courier.refused
            return f"The tracking store refused {len(refused)} rows, kept in {self._outbox.folder}: {refused[0]}"
        return ""

    def _work(self) -> None:
        pause = self._settings.flush_interval_s
        while True:
            with self._awake:
                if not self._finishing:
                    self._awake.wait(pause)
                rows, finishing = list(self._rows), self._finishing
            if self._deliver(rows):
                pause = self._settings.flush_interval_s
                if finishing and not self._rows:
                    return
            else:
                pause = min(pause * 2, 30.0)
                if finishing and self._give_up():
                    return

    def _deliver(self, rows: list[tuple[int, Row]]) -> bool:
        try:
            self._outbox.flush()
            if self._courier is None:
                self._courier = Courier(self._outbox, self._header, client_for(self._header.uri))
            if rows:
                self._courier.deliver(rows)
            self._beat()
            self._failure = ""
            return True
        except AwayError as error:
            self._failure = str(error)
            return False
        except Exception as error:  # a thread that dies would lose the run's rows without a word
            self._failure = f"{type(error).__name__}: {error}"
            return False
        finally:
            done = 0 if self._courier is None else self._courier.cursor.delivered
            with self._awake:
                while self._rows and self._rows[0][0] <= done:
                    self._rows.popleft()

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

"""Delivers the rows of a run in progress from its outbox to the store, in a background thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from dataclasses import replace

from kexp.tracking.delivery.delivery_thread import BRIEF_S, DeliveryThread
from kexp.tracking.delivery.outbox import Header, Outbox
from kexp.tracking.delivery.progress import DeliveryState
from kexp.tracking.delivery.run_sender import ArtifactsAwayError, RunSender, preload_modules
from kexp.tracking.record.figures import draw
from kexp.tracking.settings import StoreSettings
from kexp.tracking.store.client import check_reachable, client_for
from kexp.tracking.store.heartbeat import HEARTBEAT

__all__ = ["RunDelivery"]


class RunDelivery:
    """Delivers the rows of one run while it is in progress.

    It reads the rows from the outbox's files, so it can work in another process than the run. Only its thread imports
    MLflow's modules: two threads that import one package at the same time may see half-imported modules.

    Args:
        outbox: the run's rows.
        header: the run.
        settings: the store.
        preload: kinds of rows, "figure" or "model", whose modules are imported as soon as the thread is idle.
    """

    def __init__(self, outbox: Outbox, header: Header, settings: StoreSettings, preload: Collection[str] = ()) -> None:
        self._outbox, self._header, self._settings = outbox, header, settings
        self._preload = list(preload)
        self._heartbeat_due = time.monotonic() + settings.heartbeat_interval_s
        self._sender: RunSender | None = None
        self._thread = DeliveryThread(
            "kexp-tracking",
            self._deliver,
            outbox.waiting,
            interval_s=settings.flush_interval_s,
            patience_s=settings.end_timeout_s,
        )
        self.is_alive, self.wake, self.finish = self._thread.is_alive, self._thread.wake, self._thread.finish

    def start(self) -> None:
        """Starts to deliver, beginning with rows that an interrupted run left in the same folder."""
        self._thread.start()

    def state(self, wait_s: float) -> DeliveryState:
        """Returns the state of the delivery when it has ended, at the latest after `wait_s`."""
        now, sender = self._thread.state(wait_s), self._sender
        if sender is None:
            return now
        return replace(now, refused=tuple(sender.refused), models_refused=sender.models_refused)

    def close(self) -> None:
        """Stops. Undelivered rows stay on disk. Waits up to 2 s for the current request."""
        self._thread.give_up()
        self._thread.state(BRIEF_S)

    def _deliver(self) -> None:
        """Sends the rows that wait, and the heartbeat. Draws figures first, because the store may be away.

        Raises:
            StoreError: the store is away.
        """
        self._outbox.flush()
        cursor = self._outbox.cursor() if self._sender is None else self._sender.cursor
        rows = list(self._outbox.rows(cursor.delivered))
        for figure in (figure for _, row in rows for figure in row.get("figures", ())):
            with contextlib.suppress(Exception):  # a failure is reported when the figure is delivered
                draw(self._outbox.run_folder, figure)
        if rows:
            check_reachable(self._header.uri)
        if self._sender is None:
            self._sender = RunSender(client_for(self._header.uri), self._header, self._outbox)
        ended = any("end" in row for _, row in rows)
        try:
            self._sender.deliver(rows)
        except ArtifactsAwayError:
            self._beat(ended)
            raise
        self._beat(ended)
        while self._preload and not self._thread.finishing:
            preload_modules(self._preload.pop(0))

    def _beat(self, ended: bool) -> None:
        """Sends the run's heartbeat if it is due."""
        if time.monotonic() >= self._heartbeat_due and not (ended or self._thread.finishing):
            self._heartbeat_due = time.monotonic() + self._settings.heartbeat_interval_s
            with contextlib.suppress(Exception):
                assert self._sender is not None
                self._sender.client.set_tag(self._header.run_id, HEARTBEAT, str(int(time.time())))

"""Runs that say RUNNING and are not: their process was killed without a word."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable

from kexp.tracking.client import client_for, store_errors
from kexp.tracking.reading import RunView, search
from kexp.tracking.settings import StoreSettings, resolve_uri

__all__ = ["mark_failed", "stale_runs"]


def stale_runs(settings: StoreSettings, older_than_s: float = 120.0) -> list[RunView]:
    """Our RUNNING runs that show no life: no heartbeat for `older_than_s`, or their process, here, is gone."""
    now = time.time()
    return [view for view in search(settings, status="RUNNING") if _is_stale(view, now, older_than_s)]


def mark_failed(
    settings: StoreSettings, runs: Iterable[RunView], reason: str = "its process ended without a word"
) -> None:
    """Ends `runs` as FAILED, at the time of their last heartbeat, with the reason in `kexp.reason`."""
    uri = resolve_uri(settings)
    client = client_for(uri)
    with store_errors(uri, "marking runs as failed"):
        for view in runs:
            client.set_tag(view.run_id, "kexp.reason", reason)
            beat = view.tags.get("kexp.heartbeat", "")
            client.set_terminated(view.run_id, "FAILED", int(beat) * 1000 if beat.isdigit() else None)


def _is_stale(view: RunView, now: float, older_than_s: float) -> bool:
    beat = view.tags.get("kexp.heartbeat", "")
    if not beat.isdigit():  # not ours: MLflow's other users send no heartbeat, and may well be running
        return False
    here = view.tags.get("kexp.host") == socket.gethostname() and view.tags.get("kexp.pid", "").isdigit()
    return (here and not _is_alive(int(view.tags["kexp.pid"]))) or now - int(beat) > older_than_s


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""Which runs that say RUNNING are in progress; and the ends of those that are not."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence

from kexp.tracking.reading.runs import RunView, search
from kexp.tracking.settings import StoreSettings, resolve_uri
from kexp.tracking.store.client import client_for, store_errors
from kexp.tracking.store.heartbeat import HEARTBEAT, HOST, PID, end_run

__all__ = ["delete_runs", "is_in_progress", "mark_failed", "stale_runs", "unfinished_runs"]

_HEARTBEAT_S = 120.0  # a run that has shown no life for so long is taken to be dead


def stale_runs(settings: StoreSettings, older_than_s: float = _HEARTBEAT_S) -> list[RunView]:
    """Our RUNNING runs that show no life: no heartbeat for `older_than_s`, or their process, here, is gone."""
    found = []
    for view in search(settings, status="RUNNING"):
        beats = view.tags.get(HEARTBEAT, "").isdigit()  # MLflow's other users send none, and may well be running
        if beats and not is_in_progress(view, older_than_s, ours=True):
            found.append(view)
    return found


def mark_failed(settings: StoreSettings, runs: Iterable[RunView]) -> None:
    """Ends `runs` as FAILED, at the time of their last heartbeat, with the reason in `kexp.reason`."""
    uri = resolve_uri(settings)
    client = client_for(uri)
    with store_errors(uri, "marking runs as failed"):
        for view in runs:
            beat = view.tags.get(HEARTBEAT, "")
            ended_ms = int(beat) * 1000 if beat.isdigit() else None
            end_run(client, view.run_id, "FAILED", ended_ms, {"kexp.reason": "its process ended without a word"})


def unfinished_runs(store: StoreSettings, parent_run_id: str) -> dict[str, list[str]]:
    """The sweep's trials that failed or were killed before: fingerprint -> run ids. Their successors replace them."""
    found: dict[str, list[str]] = {}
    for status in ("FAILED", "KILLED", "RUNNING"):
        for view in search(store, parent_run_id=parent_run_id, status=status):
            if not is_in_progress(view):
                found.setdefault(view.tags.get("kexp.fingerprint", ""), []).append(view.run_id)
    found.pop("", None)
    return found


def delete_runs(store: StoreSettings, run_ids: Sequence[str]) -> None:
    """Deletes runs, as MLflow's page does: they can be restored until its garbage collection."""
    uri = resolve_uri(store)
    client = client_for(uri)
    with store_errors(uri, "deleting a trial's earlier runs"):
        for run_id in run_ids:
            client.delete_run(run_id)


def is_in_progress(view: RunView, within_s: float = _HEARTBEAT_S, *, ours: bool = False) -> bool:
    """Whether a process, here or on another machine, is at work on a run.

    Args:
        view: the run.
        within_s: how recent its last heartbeat must be.
        ours: whether runs of this very process count.
    """
    beat = float(view.tags.get(HEARTBEAT, 0))
    return view.status == "RUNNING" and time.time() - beat < within_s and _may_run(view.tags, ours)


def _may_run(tags: Mapping[str, str], ours: bool) -> bool:
    """Whether the process that a run names may be at work. Of another machine's, its heartbeat alone can tell."""
    import psutil

    if tags.get(HOST) != socket.gethostname() or not tags.get(PID, "").isdigit():
        return True
    pid = int(tags[PID])
    if pid == os.getpid():
        return ours
    try:
        process = psutil.Process(pid)
        # A number is given to new processes again: one that began after the last sign of life is another's.
        began_later = process.create_time() > float(tags.get(HEARTBEAT, 0)) + 60
        return process.status() != psutil.STATUS_ZOMBIE and not began_later
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True

"""The tags that show that a process works on a run. They are deleted when the run ends."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kexp.tracking.store.client import sql_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["HEARTBEAT", "HOST", "PID", "end_run", "heartbeat_tags"]

HEARTBEAT, HOST, PID = "kexp.heartbeat", "kexp.host", "kexp.pid"


def heartbeat_tags() -> dict[str, str]:
    """Returns the tags of a run that this process starts to work on."""
    return {PID: str(os.getpid()), HOST: socket.gethostname(), HEARTBEAT: str(int(time.time()))}


def end_run(
    client: MlflowClient,
    run_id: str,
    status: str,
    time_ms: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Ends a run in the store, and deletes its heartbeat tags.

    Args:
        client: MLflow's client of the store.
        run_id: the run.
        status: FINISHED, FAILED or KILLED.
        time_ms: when it ended, in milliseconds since 1970; now unless given.
        tags: set before the run ends.

    Raises:
        Exception: the store did not end the run. If a tag could not be deleted, nothing is raised.
    """
    for key, value in (tags or {}).items():
        client.set_tag(run_id, key, value)
    heartbeat = (HEARTBEAT, HOST, PID)
    store = sql_store(client)
    if store is None:
        with ThreadPoolExecutor(len(heartbeat)) as pool:  # at the same time, because a server may be far away
            for key in heartbeat:
                pool.submit(client.delete_tag, run_id, key)
            client.set_terminated(run_id, status, time_ms)
        return
    from mlflow.store.tracking.dbmodels.models import SqlTag
    from sqlalchemy import delete

    client.set_terminated(run_id, status, time_ms)
    with contextlib.suppress(Exception), store.ManagedSessionMaker(read_only=False) as session:
        session.execute(delete(SqlTag).where(SqlTag.run_uuid == run_id, SqlTag.key.in_(heartbeat)))

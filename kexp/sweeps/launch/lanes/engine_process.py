"""The code that runs in the engine's process: answers one request after another."""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import Connection

from kexp.sweeps.launch.lanes.estimates import EstimateRequest
from kexp.sweeps.launch.lanes.lane_engine import LaneEngine, import_engine
from kexp.sweeps.launch.lanes.messages import CompileAhead, Verify

__all__ = ["serve"]


def serve(connection: Connection) -> None:
    """Sends how many trials run at once, then answers requests until the connection is closed.

    Args:
        connection: receives requests: `Batch`, whose answers end with None, `EstimateRequest`, `Verify`, and
            `CompileAhead`, which has no answer.
    """
    lanes = import_engine()
    engine = LaneEngine(connection)
    threading.Thread(target=engine.watch, daemon=True).start()
    connection.send(lanes)
    while True:
        request = connection.recv()
        if isinstance(request, Verify):
            connection.send(engine.verify())
        elif isinstance(request, EstimateRequest):
            _log_to(request.log)
            connection.send(engine.estimator.estimate(request))
        elif isinstance(request, CompileAhead):
            engine.compile_ahead(request)
        else:
            _log_to(request.log)
            engine.run(request)
            connection.send(None)


def _log_to(file: str) -> None:
    """Redirects standard output and error to a file, including the output of C libraries."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.close(descriptor)

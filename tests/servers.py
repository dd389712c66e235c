"""MLflow's own server, which a test can kill and start again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path

from kexp.tracking.server import running_server

__all__ = ["Server", "free_port"]


class Server:
    """A real `mlflow server` that can be killed and started again, with the same address and store."""

    def __init__(self, folder: Path) -> None:
        self.uri, self.artifacts, self.port = f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts", free_port()
        self.start()

    def start(self) -> None:
        self._open = contextlib.ExitStack()
        running = running_server(self.uri, self.port, artifacts=self.artifacts)
        self.address, self.process = self._open.enter_context(running)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self._open.close()

    def stop(self) -> None:
        self._open.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

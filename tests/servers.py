"""MLflow's own server, which a test can kill and start again; with a user and a password where it asks for them."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
from pathlib import Path

from kexp.tracking.server import running_server

__all__ = ["PASSWORD", "USER", "Server", "free_port"]

USER, PASSWORD = "grete@home", "c@rrect:h/rse ba%t?ery#&$'"


class Server:
    """A real `mlflow server` that can be killed and started again, with the same address and store.

    Args:
        folder: where its files are.
        uri: of the database behind it; a file of SQLite in `folder` unless given.
        asks: whether it asks for `USER` and `PASSWORD` (MLflow's basic authentication).
    """

    def __init__(self, folder: Path, uri: str | None = None, *, asks: bool = False) -> None:
        self.uri, self.artifacts, self.port = (
            uri or f"sqlite:///{folder / 'mlflow.db'}",
            folder / "artifacts",
            free_port(),
        )
        self._options, self._environment = list[str](), dict[str, str]()
        if asks:
            users = folder / "basic_auth.ini"
            users.write_text(
                f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder / 'users.db'}\n"
                f"admin_username = {USER}\nadmin_password = {PASSWORD.replace('%', '%%')}\n"
            )
            self._options = ["--app-name", "basic-auth"]
            self._environment = {
                "MLFLOW_AUTH_CONFIG_PATH": str(users),
                "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(),
            }
        self.start()

    def start(self) -> None:
        self._open = contextlib.ExitStack()
        running = running_server(
            self.uri,
            self.port,
            artifacts=self.artifacts,
            options=self._options,
            environment=self._environment,
        )
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

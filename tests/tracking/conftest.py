"""Real stores: a SQLite file in the test's folder, and MLflow's own server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kexp.tracking import StoreSettings
from kexp.tracking.server import running_server


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the user's cache out of the tests; the tables' template is made once a session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    return StoreSettings(
        uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
        artifact_location=str(tmp_path / "artifacts"),
        flush_interval_s=0.05,
        end_timeout_s=30,
    )


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


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

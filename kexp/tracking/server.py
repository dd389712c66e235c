"""`kexp ui`: MLflow's own page on a store, light and quiet."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from kexp.errors import ConfigError, StoreError, without_passwords
from kexp.system.passwords import restore_password
from kexp.tracking.settings import StoreSettings, is_remote, resolve_uri
from kexp.tracking.status import sigterm_raises
from kexp.tracking.store.prepare import prepare_store

__all__ = ["running_server", "serve"]

_START_TIMEOUT_S = 120.0
_PORTS_TRIED = 20
_PAGE = "/#/experiments?workflowType=machine_learning"  # MLflow opens on agents and traces otherwise


def serve(settings: StoreSettings, port: int | None = None, *, print_line: Callable[[str], None] = print) -> None:
    """Serves MLflow's page on the store's runs until Ctrl-C.

    Args:
        settings: the store; if it is a server already, its address is printed and nothing is started.
        port: the port on this machine; None means the first free one from 5000 on.
        print_line: called with each sentence for the user.

    Raises:
        ConfigError: the port is in use or out of range.
        StoreError: the store cannot be read, or MLflow's server does not start.
    """
    uri = resolve_uri(settings)
    if is_remote(uri):
        print_line(f"The runs are at {without_passwords(uri)}.")
        return
    prepare_store(settings)
    with (
        sigterm_raises(),
        running_server(uri, _free_port(port)) as (address, process),
        contextlib.suppress(KeyboardInterrupt),
    ):
        print_line(f"The runs are at {address}{_PAGE} (Ctrl-C ends this).")
        process.wait()
        raise StoreError("MLflow's server ended by itself")


@contextlib.contextmanager
def running_server(
    uri: str,
    port: int,
    *,
    artifacts: Path | None = None,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Runs an MLflow server within the block, and ends all its processes afterwards.

    Args:
        uri: the store behind the server.
        port: the port on which it listens, on this machine only.
        artifacts: the folder for artifacts that are uploaded; None means MLflow's default.
        options: further options of `mlflow server`.
        environment: variables besides those of this process.

    Yields:
        The server's address, when it answers, and its process.

    Raises:
        StoreError: it does not start; the message ends with the last line that it printed.
    """
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [] if artifacts is None else ["--artifacts-destination", str(artifacts)]
    command += options
    # Its job workers take 1.2 GB for features that kexp does not use.
    lean = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    store = {"MLFLOW_BACKEND_STORE_URI": restore_password(uri)}  # every user of the machine can read a command line
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with tempfile.TemporaryFile() as output:
        # In a session of its own, Ctrl-C reaches only this process, which then ends all processes of the server.
        process = subprocess.Popen(
            command,
            env={**inherited, **lean, **store, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_until_it_answers(address, process, output.fileno())
            yield address, process
        finally:
            _end(process)


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes], output: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(f"{address}/health", timeout=2),
        ):
            return
        time.sleep(0.1)
    printed = os.pread(output, 1_000_000, 0).decode(errors="replace").strip().splitlines()
    raise StoreError(f"MLflow's server did not start at {address}: {printed[-1] if printed else 'it said nothing'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
            if number == signal.SIGKILL or not _group_lives(process.pid):
                return


def _group_lives(group: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def _free_port(port: int | None) -> int:
    if port is not None:
        if not 1 <= port <= 65535:
            raise ConfigError.at("port", "must be between 1 and 65535", port)
        if not _is_free(port):
            raise ConfigError.at("port", "something else listens there; choose another", port)
        return port
    for candidate in range(5000, 5000 + _PORTS_TRIED):
        if _is_free(candidate):
            return candidate
    raise ConfigError(f"port: none from 5000 to {5000 + _PORTS_TRIED - 1} is free; choose one")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

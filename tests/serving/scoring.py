"""MLflow's scoring server of a model, by the command that users type."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def scoring(model: str, python: str, folder: Path, more: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    """`mlflow models serve` by an environment's Python, while the block lasts: its port, and its process' environment.

    It need not answer yet when the block begins.
    """
    (folder / "uvicorn").write_text(f'#!/bin/sh\nexec {python} -m uvicorn "$@"\n')  # MLflow calls it by its name
    (folder / "uvicorn").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **more}
    environment.pop("KERAS_BACKEND", None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [python, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield port, environment
    except BaseException as error:
        error.add_note((folder / "server.log").read_text())
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, 15)
        server.wait(30)


def wait_for(port: int, seconds: float = 120) -> None:
    """Waits until a server answers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not answer")


def asked(port: int, body: str, kind: str = "application/json") -> tuple[int, Any]:
    """Status and answer of a request."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body.encode(), {"Content-Type": kind}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)

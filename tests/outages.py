"""The ways in which a tracking server is away for a while, each for real, with a process of kexp's before it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distant import Distant, distant
from servers import Server

__all__ = ["KINDS", "Place", "place", "wait_until"]

NAME = "server.kexp.test"
# A stand-in for the resolver: the name is known as long as a file is there. Python imports this in every process.
RESOLVER = f"""
import os, socket
real = socket.getaddrinfo
def getaddrinfo(host, *arguments, **options):
    if host == {NAME!r}:
        if not os.path.exists(os.environ["KNOWN_NAMES"]):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        host = "127.0.0.1"
    return real(host, *arguments, **options)
socket.getaddrinfo = getaddrinfo
"""
FAULTS: dict[str, int | str] = {"hangs": "hang", "is cut": "cut", "is overloaded": 503, "refuses the password": 401}
KINDS = ("is killed", *FAULTS, "has no name")


class Place:
    """A folder to run kexp in, and the server that its commands use.

    Attributes:
        folder: the working directory.
        server: MLflow's.
        far: the proxy before it.
        address: by which the commands know it.
    """

    def __init__(self, folder: Path, server: Server, far: Distant, kind: str) -> None:
        self.folder, self.server, self.far, self.kind = folder, server, far, kind
        self.address = server.address if kind == "is killed" else far.address
        self._names = folder / "names"
        self.environment = {**os.environ, "MLFLOW_TRACKING_URI": self.address}
        if kind == "has no name":
            self.address = far.address.replace("127.0.0.1", NAME)
            resolver = folder / "resolver" / "sitecustomize.py"
            resolver.parent.mkdir()
            resolver.write_text(RESOLVER)
            self.environment |= {
                "MLFLOW_TRACKING_URI": self.address,
                "PYTHONPATH": str(resolver.parent),
                "KNOWN_NAMES": str(self._names),
            }
        self._names.touch()

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """The server is away, in the way of this place, until the end of the block."""
        before = self.far.fault
        if self.kind == "is killed":
            self.server.kill()
        elif self.kind == "has no name":
            self._names.unlink()
        else:
            self.far.fault = lambda method, path: FAULTS[self.kind]
        yield
        if self.kind == "is killed":
            self.server.start()
        self._names.touch()
        self.far.fault = before
        self.far.let_go()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A `kexp` of these arguments, in the folder; what it says goes to `said.txt`."""
        command = [sys.executable, "-m", "kexp", *arguments]
        with open(self.folder / "said.txt", "w") as said:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=said, stderr=said, text=True)

    def run(self, *arguments: str, timeout_s: float = 300) -> tuple[int, str, float]:
        """Runs a `kexp` to its end: exit code, what it said, seconds."""
        began = time.monotonic()
        code = self.start(*arguments).wait(timeout_s)
        return code, self.said(), time.monotonic() - began

    def said(self) -> str:
        return (self.folder / "said.txt").read_text()


@contextlib.contextmanager
def place(folder: Path, server: Server, kind: str, delay_s: float = 0.0) -> Iterator[Place]:
    """A folder and a server whose outages are of `kind`."""
    folder.mkdir(exist_ok=True)
    with distant(server.address, delay_s) as far:
        yield Place(folder, server, far, kind)


def wait_until(true: Callable[[], Any], process: subprocess.Popen[str], timeout_s: float = 200) -> None:
    """Until it is so, as long as the process lives."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)

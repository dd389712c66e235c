"""A Python process of kexp's own beside this one: how it is started, spoken with, limited and ended.

A child runs one function and talks over a connection. It starts clean: nothing is forked, and the user's script is not
run again, whether or not it guards itself by `if __name__ == "__main__"`. It ends with its parent, however that ends.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import IO, Any

__all__ = ["ChildProcess"]

_PROGRAM = "import sys; sys.path[:] = sys.argv[3:]; from kexp.system.child_process import _main; _main(*sys.argv[1:3])"
_GRACE_S = 5.0  # between asking a child to end and ending it
_WATCH_S = 1.0
_TAIL_BYTES = 4096


class ChildProcess:
    """A child.

    What it writes to standard output is dropped; of standard error, the last line is kept for a message.

    Args:
        function: "module:name"; called in the child with its end of the connection and `arguments`. The child ends
            when it returns, or when the connection is closed while it waits for a message.
        arguments: what pickles.
        environment: the child's; this process's unless given.
        folder: where it works; this process's unless given.
        ignored: signals that the child never hears. Ctrl-C goes to all of a terminal's processes, and is this one's.

    Raises:
        OSError: no process can be had.

    Attributes:
        connection: to the child, for `multiprocessing.connection.wait`.
        pid: the child's id.
    """

    def __init__(
        self,
        function: str,
        *arguments: Any,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        ignored: Sequence[signal.Signals] = (signal.SIGINT,),
    ) -> None:
        self.connection, theirs = Pipe()
        self._parent = os.getpid()
        self._errors = _scratch_file()
        self._descendants: list[Any] = []
        warnings = [f"-W{each}" for each in sys.warnoptions]
        descriptor = theirs.fileno()
        with theirs, _blocked(ignored):
            self._process = subprocess.Popen(
                [sys.executable, "-P", *warnings, "-c", _PROGRAM, function, str(descriptor), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[descriptor],
                env=environment,
                cwd=folder,
            )
        # At the latest when this object is gone: a launcher that was made and never used has nobody to close it.
        self._end = weakref.finalize(self, _end_child, self._process, self.connection, self._errors, self._parent)
        self.pid = self._process.pid
        self.send((self._parent, tuple(ignored), sys.argv, arguments))

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def send(self, message: Any) -> None:
        """Sends what pickles. Where the child has ended, that shows at the next answer."""
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def receive(self, timeout_s: float | None = None) -> Any:
        """The child's next message.

        Args:
            timeout_s: the longest to wait for it; None for as long as it takes.

        Raises:
            EOFError: the child has ended.
            TimeoutError: it has sent nothing for so long.
        """
        self._wait_for_message(timeout_s)
        with _end_of_file():
            return self.connection.recv()

    def receive_bytes(self, timeout_s: float | None = None) -> bytes:
        """As `receive`, of a child that sends bytes. One that may be hostile does: to unpickle is to run a program."""
        self._wait_for_message(timeout_s)
        with _end_of_file():
            return self.connection.recv_bytes()

    def _wait_for_message(self, timeout_s: float | None) -> None:
        with _end_of_file():
            there = self.connection.poll(timeout_s)
        if not there:
            raise TimeoutError(f"nothing was heard for {timeout_s:g} s")

    def exit_code(self) -> int:
        """Its exit code, or minus the signal that ended it. For a child whose connection has come to an end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_GRACE_S)
        self.stop()
        return self._process.wait()

    def how_it_died(self, with_error: bool = False) -> str:
        """What the exit code says, as a sentence.

        Args:
            with_error: whether to add the last line that it wrote to standard error.
        """
        code = self.exit_code()
        last = self._last_error() if with_error else ""
        if code == -signal.SIGKILL:
            return "its process was killed (SIGKILL); out of memory, perhaps"
        if code < 0:
            return f"its process died of {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}" + (f": {last}" if last else "")

    def _last_error(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _TAIL_BYTES))
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def ask_to_end(self) -> None:
        """Closes the connection, by which a child that waits for a message ends."""
        self.connection.close()

    def terminate(self) -> None:
        """Sends SIGTERM, by which a child that is busy ends in good order."""
        self._note_descendants()
        self._process.terminate()

    def close(self, grace_s: float = _GRACE_S) -> None:
        """Waits for the child's end, and ends it where that does not come.

        Args:
            grace_s: the longest to wait.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, grace_s))
        self.stop()
        self.kill()

    def kill(self) -> None:
        """Ends it at once, and lets go of it. Safe to call again."""
        if os.getpid() == self._parent:
            self._end()

    def stop(self) -> None:
        """Ends it at once, with all processes that it has started. Its exit code can still be asked for."""
        if self.alive:
            self._note_descendants()
            self._process.kill()
            self._process.wait()
        for each in self._descendants:
            with contextlib.suppress(Exception):  # it has ended
                each.kill()

    def _note_descendants(self) -> None:
        """Finds the processes that it has started, while it lives: afterwards they are nobody's."""
        import psutil

        with contextlib.suppress(psutil.Error):
            self._descendants = psutil.Process(self.pid).children(recursive=True)


def _end_child(process: subprocess.Popen[bytes], connection: Connection, errors: IO[bytes], parent: int) -> None:
    if os.getpid() != parent:  # this process was forked: the child is its parent's
        return
    process.kill()
    process.wait()
    connection.close()
    errors.close()


def _scratch_file() -> IO[bytes]:
    """A file for what a child writes to standard error. On a full disk there is none, and what it writes is dropped."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "r+b")


@contextlib.contextmanager
def _end_of_file() -> Iterator[None]:
    """A connection that breaks in the middle of a message has come to its end as well."""
    try:
        yield
    except OSError as error:
        raise EOFError from error


@contextlib.contextmanager
def _blocked(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """A child inherits what is blocked: it hears nothing before it has said what it ignores."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _main(name: str, descriptor: str) -> None:
    """The child's life."""
    os.set_inheritable(int(descriptor), False)
    connection = Connection(int(descriptor))
    module, _, label = name.partition(":")
    try:
        parent, ignored, sys.argv[:], arguments = connection.recv()
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ignored)
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        getattr(importlib.import_module(module), label)(connection, *arguments)
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent wants nothing more
        pass


def _end_with(parent: int) -> None:
    """Ends a child whose parent was killed, though it be busy, or a grandchild keep the connection open."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)

"""A child process: what travels, how it is limited, and that none is left however it or its parent ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from kexp.system.child_process import ChildProcess

pytestmark = pytest.mark.real_process


def answer(connection: Connection, *arguments: Any) -> None:
    """Evaluates what is asked, with the arguments at hand."""
    while True:
        connection.send(eval(connection.recv(), {"arguments": arguments, "os": os, "sys": sys}))


def fail(connection: Connection) -> None:
    connection.recv()
    raise RuntimeError("half of an upgrade")


def have_a_child(connection: Connection) -> None:
    connection.send(subprocess.Popen(["sleep", "100"]).pid)
    time.sleep(100)


def alone(connection: Connection) -> None:
    connection.send_bytes(b"plain")


@pytest.fixture
def start() -> Iterator[Callable[..., ChildProcess]]:
    started: list[ChildProcess] = []

    def start(function: str, *arguments: Any, **settings: Any) -> ChildProcess:
        started.append(ChildProcess(f"{__name__}:{function}", *arguments, **settings))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        assert not psutil.pid_exists(child.pid)


def ask(child: ChildProcess, question: str) -> Any:
    child.send(question)
    return child.receive(30)


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_child_has_its_arguments_environment_folder_and_path(start: Any, tmp_path: Path) -> None:
    child = start("answer", 1, {"two": 2}, environment={**os.environ, "WORD": "hello"}, folder=tmp_path)
    assert ask(child, "(arguments, os.environ['WORD'], os.getcwd(), sys.path, sys.argv)") == (
        (1, {"two": 2}),
        "hello",
        str(tmp_path),
        sys.path,
        sys.argv,
    )
    assert ask(child, "os.getppid()") == os.getpid()


def test_a_child_ends_when_it_is_asked_to(start: Any) -> None:
    child = start("answer")
    assert ask(child, "1 + 1") == 2
    child.ask_to_end()
    assert child.exit_code() == 0


def test_a_child_ends_when_nobody_refers_to_it() -> None:
    child = ChildProcess(f"{__name__}:answer")
    pid = child.pid
    assert psutil.pid_exists(pid)
    del child
    assert not psutil.pid_exists(pid)


def test_bytes_are_not_unpickled(start: Any) -> None:
    assert start("alone").receive_bytes(30) == b"plain"


@pytest.mark.parametrize(
    ("last_words", "sentence"),
    [
        ("os._exit(7)", "its process ended with exit code 7"),
        ("os.kill(os.getpid(), 9)", "its process was killed (SIGKILL); out of memory, perhaps"),
        ("os.abort()", "its process died of SIGABRT"),
    ],
)
def test_how_a_child_died_is_a_sentence(last_words: str, sentence: str, start: Any) -> None:
    child = start("answer")
    with pytest.raises(EOFError):
        ask(child, last_words)
    assert child.how_it_died() == sentence


def test_an_error_of_a_child_is_in_the_sentence_and_nowhere_else(start: Any, capfd: pytest.CaptureFixture[str]) -> None:
    child = start("fail")
    with pytest.raises(EOFError):
        ask(child, "go")
    assert child.how_it_died(with_error=True) == (
        "its process ended with exit code 1: RuntimeError: half of an upgrade"
    )
    assert capfd.readouterr() == ("", "")


def test_a_child_that_says_nothing_is_given_up_with_what_it_has_started(start: Any) -> None:
    child = start("have_a_child")
    grandchild = child.receive(30)
    with pytest.raises(TimeoutError, match=r"nothing was heard for 0\.2 s"):
        child.receive(0.2)
    child.stop()
    assert child.exit_code() == -signal.SIGKILL
    assert is_gone(grandchild)


def test_what_a_child_has_started_ends_with_it_when_it_is_asked_to_end(start: Any) -> None:
    child = start("have_a_child")
    grandchild = child.receive(30)
    child.terminate()
    child.close()
    assert is_gone(grandchild)


@pytest.mark.parametrize("ignored", [(signal.SIGINT,), (signal.SIGINT, signal.SIGTERM)])
def test_a_child_never_hears_what_it_ignores(ignored: tuple[signal.Signals, ...], start: Any) -> None:
    child = start("answer", ignored=ignored)
    for number in ignored:  # before it has begun, and after
        os.kill(child.pid, number)
    assert ask(child, "1 + 1") == 2
    for number in ignored:
        os.kill(child.pid, number)
    assert ask(child, "2 + 2") == 4
    if signal.SIGTERM not in ignored:
        child.terminate()
        assert child.exit_code() == -signal.SIGTERM


@pytest.mark.parametrize("ends", ["os.kill(os.getpid(), 9)", "sys.exit(3)", "os.abort()"])
def test_no_child_outlives_its_parent(ends: str, tmp_path: Path) -> None:
    """Nor does its end hang on a script without a guard, which is not run again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from kexp.system.child_process import ChildProcess\n"
        "child = ChildProcess('test_child_process:have_a_child')\n"
        "child.receive(30)\n"
        f"print(child.pid, flush=True)\n{ends}\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert is_gone(int(done.stdout))


def test_a_forked_process_leaves_its_parents_child_alone(start: Any) -> None:
    child = start("answer")
    assert ask(child, "1 + 1") == 2
    if os.fork() == 0:
        child.kill()
        os._exit(0)
    os.wait()
    assert ask(child, "2 + 2") == 4

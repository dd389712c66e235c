"""The processes that tests fork are what the tests take them for: children of this process that begin with nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import warm_processes

from kexp.system.child_process import ChildProcess

forked = pytest.mark.skipif(
    sys.platform != "linux" or bool(os.environ.get("KEXP_TESTS_REAL_PROCESSES")), reason="here none is forked"
)


def tell(connection: Connection) -> None:
    """What a process finds as it begins."""
    found: dict[str, Any] = {
        "program": Path("/proc/self/cmdline").read_text(),
        "parent": os.getppid(),
        "folder": os.getcwd(),
        "imported": sorted({"jax", "keras", "mlflow", "numpy", "tensorflow"} & sys.modules.keys()),
    }
    import keras
    import numpy

    found |= {"backend": keras.config.backend(), "numpy": numpy.__version__, "mlflow": "mlflow" in sys.modules}
    connection.send(found)


def told(folder: Path, backend: str) -> dict[str, Any]:
    environment = {**os.environ, "KERAS_BACKEND": backend}
    child = ChildProcess("test_warm_processes:tell", environment=environment, folder=folder)
    found: dict[str, Any] = child.receive(120)
    assert child.exit_code() == 0
    return found


@forked
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_child_is_forked_and_has_imported_nothing_yet(tmp_path: Path, backend: str) -> None:
    found = told(tmp_path, backend)
    assert "warm_server.py" in found["program"]
    assert (found["parent"], found["folder"]) == (os.getpid(), str(tmp_path))
    assert (found["imported"], found["backend"], found["mlflow"]) == ([], backend, False)


@pytest.mark.real_process
def test_a_child_of_a_test_that_is_about_processes_is_started_anew(tmp_path: Path) -> None:
    assert "warm_server.py" not in told(tmp_path, "jax")["program"]


@forked
def test_a_command_has_its_words_its_streams_and_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kexp", "optimzer=adam"]
    done = subprocess.run(command, cwd=tmp_path, input="", capture_output=True, text=True, check=False, timeout=60)
    said = "kexp: optimzer: there is no key 'optimzer'; did you mean 'optimizer'?\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_a_process_runs_the_sitecustomize_of_its_path(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('begun')")
    command, environment = [sys.executable, "-m", "kexp", "--version"], {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.startswith("begun\n")


def test_a_process_is_started_anew_where_the_server_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    monkeypatch.setattr(warm_processes, "SERVER", warm_processes._Server())
    warm_processes.SERVER.belong_to_this_process(ours)
    done = subprocess.run([sys.executable, "-m", "kexp", "--version"], cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 0


@forked
@pytest.mark.parametrize("way", ["text", "file"])
def test_a_program_that_imports_kexp_begins_as_the_interpreter_has_it(tmp_path: Path, way: str) -> None:
    program = "import json, sys, kexp; kept = 3\n"
    program += (
        "print(json.dumps([sys.argv, sys.path[0], __name__, sys.modules['__main__'].kept, 'keras' in sys.modules]))"
    )
    (tmp_path / "program.py").write_text(program)
    given = ["-c", program] if way == "text" else ["program.py"]
    found = []
    for wanted in (True, False):
        warm_processes.SERVER.wanted = wanted
        command = [sys.executable, *given, "a word"]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
            assert ("warm_server" in Path(f"/proc/{process.pid}/cmdline").read_text()) == wanted
            found.append(json.loads(process.communicate(timeout=60)[0]))
    assert found[0] == found[1]
    assert found[0][-3:] == ["__main__", 3, False]

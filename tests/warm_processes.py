"""Starts the processes of kexp's that tests need from one that has imported TensorFlow, Keras, JAX and MLflow already.

These imports take 3 to 6 s of CPU time in each process. Here a server beside each process of pytest imports them once,
computes nothing with them, and forks a child for each `python -m kexp ...`, each of kexp's own child processes, each
`mlflow server`, and each program of a test's own that imports one of them. The child is a process of its own: its id,
parent, arguments, environment, working directory, streams and exit code are those of a new one. What the server has
imported is hidden from it until it imports it, so `sys.modules` and the choice of Keras' backend are as in a new
process too.

Not as in a new process are: the time and memory that imports take, what libraries print as they are loaded, the command
line that `ps` shows, the seed of `hash`. A process is therefore started anew

* in tests that are about such things or about processes, which have the mark `real_process`,
* where a variable that a library reads as it is loaded differs from the server's (`_READ_BY_LIBRARIES`),
* where PYTHONPATH has a `sitecustomize.py`,
* where it is another program, or is started in an unusual way, or the server is gone, and
* everywhere by KEXP_TESTS_REAL_PROCESSES=1, as `nox -s real_processes` has it, and on systems other than Linux.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_READ_BY_LIBRARIES = ("JAX_", "XLA_", "TF_", "OMP_", "OPENBLAS_", "MKL_", "KERAS_HOME", "PYTHON", "LD_", "CUDA_")
_USUAL = {"preexec_fn": None, "shell": False, "gid": None, "gids": None, "uid": None, "umask": -1, "process_group": -1}
_PROGRAMS = ("kexp", "mlflow", "pytest", "uvicorn")  # uvicorn is MLflow's server
_OWN_CHILD = "from kexp.system.child_process import _main"
_HEAVY = re.compile(r"\b(import|from) .*\b(kexp|keras|mlflow|tensorflow|jax)\b")
_PROGRAM = Path(__file__).with_name("warm_server.py")
_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
_START_S, _FORK_S = 120.0, 20.0


class _Server:
    """The process that forks, as seen by the one that asks."""

    def __init__(self) -> None:
        self.wanted = True
        self._never = bool(os.environ.get("KEXP_TESTS_REAL_PROCESSES")) or sys.platform != "linux"
        self._lock = threading.Lock()
        self._owner = 0

    def belong_to_this_process(self, talk: socket.socket | None) -> None:
        """Has the processes of this one be forked, by a server that is there or one that is started when needed."""
        self._owner, self._talk, self._environment = os.getpid(), talk, _read_by_libraries(os.environ)
        subprocess.Popen = WarmPopen  # type: ignore[misc]
        atexit.register(self._hang_up)

    def _hang_up(self) -> None:
        """Has the server end."""
        if self._talk is not None:
            self._talk.close()
        self._talk = None

    def fork(self, call: Mapping[str, Any]) -> int | None:
        """Returns the id of a new child of this process, or None: it is to be started anew."""
        given = os.environ if call["env"] is None else call["env"]
        environment = {os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}
        if self._never or not self.wanted or os.getpid() != self._owner or not _can_be_forked(call):
            return None
        if _read_by_libraries(environment) != self._environment:
            return None
        streams = [call[name] if call[name] != -1 else own for own, name in enumerate(("p2cread", *_PIPES[3::2]))]
        request = {
            "arguments": [os.fsdecode(each) for each in call["args"]],
            "environment": environment,
            "folder": os.path.join(os.getcwd(), os.fsdecode(call["cwd"] or "")),
            "session": call["start_new_session"],
            "blocked": [int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
            "ignored": [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) == signal.SIG_IGN],
            "descriptors": [0, 1, 2, *call["pass_fds"]],
            "parent": self._owner,
        }
        with self._lock, _adopting_orphans():
            try:
                self._talk = self._talk or _started_server()
                self._talk.settimeout(_FORK_S)
                socket.send_fds(self._talk, [json.dumps(request).encode()], [*streams, *call["pass_fds"]])
                return int(self._talk.recv(64))
            except (OSError, ValueError):  # it is gone, or hangs: the next process that is asked for has a new one
                self._hang_up()
                return None


def _can_be_forked(call: Mapping[str, Any]) -> bool:
    arguments = [os.fsdecode(each) for each in call["args"]] if isinstance(call["args"], list) else []
    if len(arguments) < 2 or arguments[0] != sys.executable:
        return False
    flag, *words = arguments[1:]
    if flag == "-m":
        known = words[0] in _PROGRAMS
    elif flag == "-P":
        known = words[0] == "-c" and _OWN_CHILD in words[1]
    else:
        known = _imports_much(flag, words, os.fsdecode(call["cwd"] or ""))
    return known and all(call.get(name, usual) == usual for name, usual in _USUAL.items())


def _imports_much(flag: str, words: list[str], folder: str) -> bool:
    """Whether a program, `-c` and its text or a file that is no library's, imports what the server has."""
    if flag == "-c":
        return bool(words and _HEAVY.search(words[0]))
    file = Path(folder, flag)
    known = file.suffix == ".py" and file.is_file() and "site-packages" not in file.parts
    return known and bool(_HEAVY.search(file.read_text()))


def _read_by_libraries(environment: Mapping[str, str]) -> dict[str, str]:
    read = {name: value for name, value in environment.items() if name.startswith(_READ_BY_LIBRARIES)}
    folders = read.pop("PYTHONPATH", "").split(os.pathsep)  # the child's import path begins with them
    programs = [each for each in folders if each and Path(each, "sitecustomize.py").exists()]
    return {**read, "PYTHONPATH": os.pathsep.join(programs)} if programs else read  # Python runs them as it starts


def _started_server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command, one_thread = [sys.executable, str(_PROGRAM), str(theirs.fileno())], {"OPENBLAS_NUM_THREADS": "1"}
    none = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with theirs:
        server = _Popen(command, pass_fds=[theirs.fileno()], env={**os.environ, **one_thread}, **none)
    server.returncode = 0  # nobody waits for it: it ends with this process
    ours.settimeout(_START_S)
    ours.recv(64)
    return ours


@contextlib.contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Makes this process the parent of those below it whose parent ends: the server orphans its child for that."""
    control, set_child_subreaper = ctypes.CDLL(None).prctl, 36
    control(set_child_subreaper, 1, 0, 0, 0)
    yield
    control(set_child_subreaper, 0, 0, 0, 0)


_Popen = subprocess.Popen


class WarmPopen(subprocess.Popen):  # type: ignore[type-arg]
    """A `subprocess.Popen` that has the server fork where it can."""

    def _execute_child(self, *given: Any) -> None:
        real = super()._execute_child  # type: ignore[misc]
        call = inspect.signature(real).bind(*given).arguments
        pid = SERVER.fork(call)
        if pid is None:
            real(*given)
        else:
            self.pid, self._child_created = pid, True
            self._close_pipe_fds(*(call[name] for name in _PIPES))


SERVER = _Server()

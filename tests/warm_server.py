"""The server of `warm_processes`: it imports the heavy libraries, hides them, and forks a child for each request."""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from warm_processes import SERVER

_LIBRARIES = """
    scipy.stats pandas sklearn.metrics pyarrow.parquet duckdb h5py sqlalchemy alembic hydra.main mlflow.tracking
    mlflow.models mlflow.store.tracking.sqlalchemy_store matplotlib.figure plotly.graph_objects rich flask fastapi
    graphene uvicorn.config
""".split()
_UNUSED_BY_KERAS = ("pandas", "sklearn", "matplotlib")  # as `kexp.training.process.backend.own_process` has it
_ADOPTED_S = 30.0
_ABOVE = 500  # no descriptor that a child is given has such a number


class _Imported:
    """Finds what the server has imported. An import brings back its whole package; Keras', the one of its backend."""

    def __init__(self) -> None:
        self._modules: dict[str, dict[str, ModuleType]] = {}  # name -> its package
        self._keras: dict[str, dict[str, ModuleType]] = {}
        self._import("numpy")
        sys.modules.update(dict.fromkeys(_UNUSED_BY_KERAS))  # type: ignore[arg-type]  # None: cannot be imported
        for backend in ("jax", "tensorflow"):
            os.environ["KERAS_BACKEND"] = backend
            self._import(backend)
            self._import("keras")
            self._keras[backend] = {name: sys.modules.pop(name) for name in list(sys.modules) if _top(name) == "keras"}
        for name in _UNUSED_BY_KERAS:
            del sys.modules[name]
        for name in _LIBRARIES:
            self._import(name)
        for name in self._modules:
            del sys.modules[name]

    def _import(self, module: str) -> None:
        before = set(sys.modules)
        importlib.import_module(module)
        packages: dict[str, dict[str, ModuleType]] = {}
        for name in sys.modules.keys() - before:
            if _top(name) not in {*sys.stdlib_module_names, "keras"}:
                packages.setdefault(_top(name), {})[name] = sys.modules[name]
        for package in packages.values():
            self._modules |= dict.fromkeys(package, package)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        keras = self._keras.get(os.environ.get("KERAS_BACKEND", "tensorflow"), {})
        group = keras if _top(name) == "keras" else self._modules.get(name, {})
        known = group[name].__spec__ if name in group else None
        if known is None:
            return None
        spec = ModuleSpec(name, _Loader(group, known), origin=known.origin)
        spec.submodule_search_locations, spec.has_location = known.submodule_search_locations, known.has_location
        return spec


class _Loader:
    def __init__(self, group: Mapping[str, ModuleType], spec: ModuleSpec) -> None:
        self._group, self._spec = group, spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        for name, module in self._group.items():
            sys.modules.setdefault(name, module)
        return self._group[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _top(module: str) -> str:
    return module.partition(".")[0]


def _serve(talk: socket.socket) -> dict[str, Any]:
    """Forks until the other side is gone. Returns in each child, with what it is to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group
    reading, writing = os.pipe()
    while True:
        message, descriptors, _, _ = socket.recv_fds(talk, 1 << 20, 64)
        if not message:
            os._exit(0)
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child:
                os.write(writing, str(child).encode())
                os._exit(0)
            for each in (talk.detach(), reading, writing):
                os.close(each)
            return {**json.loads(message), "received": descriptors}
        for each in descriptors:
            os.close(each)
        os.waitpid(between, 0)
        talk.send(os.read(reading, 64))


def _live(request: Mapping[str, Any], path: list[str]) -> None:
    """The child's life. A command has a server of its own, for the processes that it starts."""
    latest = time.monotonic() + _ADOPTED_S
    while os.getppid() != request["parent"]:
        time.sleep(0.001)
        if time.monotonic() > latest:  # whoever asked has gone
            os._exit(1)
    if request["session"]:
        os.setsid()
    copies = [os.dup2(each, _ABOVE + place) for place, each in enumerate(request["received"])]
    for each in request["received"]:
        os.close(each)
    for each, wanted in zip(copies, request["descriptors"], strict=True):
        os.dup2(each, wanted)
        os.close(each)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    _, flag, *words = request["arguments"]
    if flag != "-P":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            ours.close()
            for each in request["descriptors"]:  # whoever reads its output waits for the command alone
                os.dup2(_NOWHERE, each)
            _live(_serve(theirs), path)
            return
        theirs.close()
        SERVER.belong_to_this_process(ours)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    given = request["environment"].get("PYTHONPATH")
    _begin(flag, words, [*(given.split(os.pathsep) if given else []), *path])


def _begin(flag: str, words: list[str], path: list[str]) -> None:
    """Does what the interpreter does with its arguments: the flags `-m`, `-c` and `-P -c`, or a file."""
    if flag == "-m":
        sys.argv, sys.path[:] = words, [os.getcwd(), *path]
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        return
    program = sys.modules["__main__"] = ModuleType("__main__")  # others find it by its name
    name, file, place = "-c", "<string>", [""]
    if flag == "-c":
        text, *words = words
    elif flag == "-P":
        (_, text, *words), place = words, []
    else:
        name, file, text = flag, os.path.abspath(flag), Path(flag).read_text()
        place = [os.path.dirname(file)]
        program.__file__ = file
    sys.argv, sys.path[:] = [name, *words], [*place, *path]
    exec(compile(text, file, "exec"), vars(program))


_NOWHERE = os.open(os.devnull, os.O_RDWR)

if __name__ == "__main__":
    _TALK, _OWN = socket.socket(fileno=int(sys.argv[1])), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    _PATH = [each for each in sys.path[1:] if each not in _OWN]
    gc.disable()
    sys.meta_path.insert(0, _Imported())
    gc.collect()
    gc.freeze()
    gc.enable()
    _TALK.send(b"ready")
    _live(_serve(_TALK), _PATH)

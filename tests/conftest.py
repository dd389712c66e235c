"""What every test shares: a working directory of its own, and installed plugin packages that are real."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm_processes

from kexp.training.process.compiled_programs import cache_folder

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell starts background jobs with SIGINT ignored, which children inherit; tests send it to theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["finished_runs"]

_MANY, _frozen = 300, [0]  # modules
_LONG = ("test_docs", "test_experiment", "sweeps/", "training/test_")


gc.disable()  # while the tests' modules import the libraries, which makes hardly any garbage


def pytest_collection_finish() -> None:
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest goes first, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: not any(part in item.nodeid for part in _LONG))


def pytest_configure() -> None:
    """Has each of JAX's programs compiled once, by the first process that needs it: runs of Keras' fit keep theirs too.

    They are kept where kexp keeps those of lanes, so that its sweeps find both as a user's do.
    """
    cache_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    warm_processes.SERVER.belong_to_this_process(None)  # what JAX reads is the server's too


@pytest.fixture(autouse=True)
def import_path() -> Iterator[None]:
    """What a test adds to the import path, as a command does with its working directory, goes with the test."""
    before = sys.path.copy()
    yield
    sys.path[:] = before


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Leaves the libraries that a test has imported out of later garbage collections: they are most of all objects."""
    if len(sys.modules) > _frozen[0] + _MANY:
        _frozen[0] = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    warm_processes.SERVER.wanted = item.get_closest_marker("real_process") is None


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, with no tracking store chosen from outside.

    Its modules go when it goes, and what a sweep or a run leaves in a process that is otherwise over: the backend that
    it announced, and the log handlers that Hydra set up for its standard output.
    """
    if "absl.logging" in sys.modules:  # where logging is set up anew it closes the stream of the test that imported it
        sys.modules["absl.logging"].get_absl_handler().python_handler.stream = sys.__stderr__
    backend, handlers = os.environ.get("KERAS_BACKEND"), logging.getLogger().handlers.copy()
    monkeypatch.chdir(tmp_path)
    for name in ("TRACKING_URI", "EXPERIMENT_NAME", "EXPERIMENT_ID", "RUN_ID"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    yield tmp_path
    if "mlflow" in sys.modules:  # what a page or a user's script tells it
        sys.modules["mlflow"].set_tracking_uri(None)
    for name, module in sys.modules.copy().items():  # in one step: a thread may be importing
        if str(getattr(module, "__dict__", {}).get("__file__")).startswith(f"{tmp_path}{os.sep}"):
            sys.modules.pop(name, None)
    os.environ.pop("KERAS_BACKEND", None)
    os.environ.update({"KERAS_BACKEND": backend} if backend else {})
    for handler in [each for each in logging.getLogger().handlers if each not in handlers]:
        logging.getLogger().removeHandler(handler)
        handler.close()

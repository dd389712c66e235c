"""An actor on its node: its share of the machine, and where it works."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Driver", "Hello", "memory_mb", "settle", "take_share"]

_OURS = f"kexp-ray-{socket.gethostname()}-"


@dataclass(frozen=True)
class Driver:
    """What an actor is told of where the sweep was started.

    Attributes:
        mark: a file in the sweep's folder; a node that reads the same word there sees the driver's files.
        word: the word.
        folder: the working directory.
        path: where Python looks for modules.
        scratch: a folder of the node's own to work in, though the driver's be seen; empty for none.
    """

    mark: str
    word: str
    folder: str
    path: Sequence[str]
    scratch: str = ""


@dataclass(frozen=True)
class Hello:
    """What an actor says of itself.

    Attributes:
        node_id: Ray's name of its node.
        host: its node's name.
        away: whether it works in a folder of its own.
        lanes: how many trials it runs at once.
    """

    node_id: str
    host: str
    away: bool
    lanes: int = 1


def take_share(threads: int, gpus: float) -> None:
    """Keeps the libraries to an actor's share of its node; before they are imported.

    Args:
        threads: how many they may use.
        gpus: its share of GPUs.
    """
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif gpus < 1:  # others are on the same one
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # SIGTERM ends the process: Python's handlers run in the main thread, which waits in Ray's own code.
    ctypes.CDLL(None).signal(int(signal.SIGTERM), 0)


def settle(driver: Driver) -> Path | None:
    """Finds out whether the driver's files are seen from here, and makes the process at home.

    Returns:
        A folder of the process's own to work in; None where it works in the driver's.
    """
    mark = Path(driver.mark)
    sees = mark.is_file() and mark.read_text(encoding="utf-8") == driver.word
    if sees:
        os.chdir(driver.folder)
        sys.path += [each for each in driver.path if each not in sys.path]
        if not driver.scratch:
            return None
    parent = Path(driver.scratch or tempfile.gettempdir())
    _sweep_strays(parent)
    return parent / f"{_OURS}{os.getpid()}-{driver.word}"


def _sweep_strays(parent: Path) -> None:
    """Removes the folders of processes that were killed here."""
    for stray in parent.glob(f"{_OURS}*"):
        pid = stray.name.removeprefix(_OURS).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(stray, ignore_errors=True)


def memory_mb() -> float:
    """This process's resident memory."""
    return float(psutil.Process().memory_info().rss / 1e6)

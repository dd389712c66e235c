"""The code that runs in a worker process: one trial after another, with one import of Keras."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from multiprocessing.connection import Connection

from kexp.sweeps.launch.trial_run import run_trial
from kexp.sweeps.trials import Task
from kexp.system.quiet import set_defaults
from kexp.training import forget_model, freeze_imports, own_process

__all__ = ["BEGUN", "READY", "default_workers", "import_keras", "work"]

READY, BEGUN = "ready", "begun"
"""The messages that a worker sends when it is ready, and when the time of a trial begins."""


def work(connection: Connection, n_workers: int, index: int) -> None:
    """Runs trial after trial until the connection is closed.

    Args:
        connection: receives tasks, and the names of backends to import; sends epochs and outcomes.
        n_workers: the number of workers that share this machine.
        index: the index of this worker.
    """
    own_process()
    _share_machine(n_workers, index)
    connection.send(READY)
    while True:
        task = connection.recv()
        if isinstance(task, str):
            _import_keras(task)
            continue

        def on_epoch(number: int, epoch: int, metrics: Mapping[str, float], ask: bool = task.ask) -> str | None:
            connection.send((number, epoch, dict(metrics)))
            return connection.recv() if ask else None

        import_keras(task)
        connection.send(BEGUN)
        connection.send(run_trial(task, on_epoch))
        forget_model()


def default_workers() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def import_keras(task: Task) -> None:
    """Imports Keras before the trial's time begins. An error is ignored, because it occurs in the trial again."""
    _import_keras(task.config["backend"])
    freeze_imports()


def _import_keras(backend: str) -> None:
    with contextlib.suppress(Exception):
        from kexp.training import prepare_backend

        prepare_backend(backend)
        import keras  # noqa: F401


def _share_machine(n_workers: int, index: int) -> None:
    """Limits this worker to its share of the threads, and to one GPU if there are several."""
    threads = str(max(1, default_workers() // n_workers))
    pools = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    set_defaults({**dict.fromkeys(pools, threads), "TF_NUM_INTEROP_THREADS": "1"})
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        nodes = sorted(os.listdir("/dev"))
        devices = [name.removeprefix("nvidia") for name in nodes if re.fullmatch(r"nvidia\d+", name)]
    else:
        devices = [each for each in named.split(",") if each]
    if len(devices) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[index % len(devices)]

"""Measures processor, memory, disk, network and GPUs during a run, by MLflow's own monitors."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from kexp.tracking.record.tracker import Tracker
from kexp.tracking.store.client import load_mlflow
from kexp.tracking.values import SYSTEM_PREFIX

__all__ = ["log_system_metrics"]

_INTERVAL = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
_USUAL_S = 10.0


@contextlib.contextmanager
def log_system_metrics(tracker: Tracker, wanted: bool = True) -> Iterator[None]:
    """Samples the machine at the start of the block, at its end, and at intervals in between, in a thread.

    Args:
        tracker: logs the samples under MLflow's names.
        wanted: whether to sample.
    """
    if not wanted:
        yield
        return
    ending = threading.Event()
    thread = threading.Thread(target=_sample, args=(tracker, ending), name="kexp-system", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def _sample(tracker: Tracker, ending: threading.Event) -> None:
    """Logs system metrics at intervals until `ending` is set, and once more then."""
    monitors, step, last = _monitors(), 0, False
    while True:
        found: dict[str, float] = {}
        for monitor in monitors:
            with contextlib.suppress(Exception):  # a sensor that fails must not end the run
                monitor.collect_metrics()
                found |= {f"{SYSTEM_PREFIX}{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
                monitor.clear_metrics()
        if found:
            tracker.log_metrics(found, step=step)
        if last:
            return
        step += 1
        last = ending.wait(_interval_s())


def _interval_s() -> float:
    with contextlib.suppress(ValueError):
        return max(0.1, float(os.environ.get(_INTERVAL) or _USUAL_S))
    return _USUAL_S


def _monitors() -> list[Any]:
    """Returns MLflow's monitors that work on this machine."""
    load_mlflow()
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    found: list[Any] = []
    for kind in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor):
        with contextlib.suppress(Exception):  # no GPU, or no package that measures it
            found.append(kind())
    return found

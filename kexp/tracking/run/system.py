"""The machine measured while a run is in progress: processor, memory, disk, network, GPUs, as MLflow measures them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from kexp.tracking.record.tracker import Tracker
from kexp.tracking.store.client import load_mlflow

__all__ = ["measured"]

_PREFIX = "system/"  # MLflow's page has a tab for it
_INTERVAL = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
_USUAL_S = 10.0


@contextlib.contextmanager
def measured(tracker: Tracker, wanted: bool = True) -> Iterator[None]:
    """Samples the machine until the block ends, in a thread of its own; at its start and its end too.

    Samples go to the tracker, which keeps them on disk: nothing waits for the store.

    Args:
        tracker: takes them, under MLflow's names.
        wanted: whether to.
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
    monitors, step, last = _monitors(), 0, False
    while True:
        found: dict[str, float] = {}
        for monitor in monitors:
            with contextlib.suppress(Exception):  # a sensor that goes away must not end the run
                monitor.collect_metrics()
                found |= {f"{_PREFIX}{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
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
    """MLflow's own, those that work here."""
    load_mlflow()
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    found: list[Any] = []
    for kind in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor):
        with contextlib.suppress(Exception):  # no GPU, or nothing that measures one
            found.append(kind())
    return found

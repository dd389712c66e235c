"""Trials a minute of `processes` against `serial` in one call, and the memory of a worker over many trials.

    python benchmarks/launchers.py                       # 40 trials each, 2 workers; 200 short ones for the memory
    python benchmarks/launchers.py --trials 80 --workers 4 --memory-trials 0 --json

A trial is an MLP 64-32-10 on scikit-learn's digits, 20 epochs of batch 32. The steady state is told by the ends of the
runs that the store has: the trials that ended after the first of each worker, over the time that they took. A
worker's memory is its resident set: its median over the last tenth of the sweep against that after the first tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from typing import Any

import psutil

PACKAGES = ("kexp", "keras", "tensorflow", "mlflow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="of each launcher")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory-trials", type=int, default=200, help="of 2 epochs, on one worker; 0 leaves them out")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(f"{'':<12}{'seconds':>9}{'trials/min':>12}{'ratio':>7}{'peak MB':>9}")
    for name, workers in (("serial", 1), ("processes", given.workers)):
        row = sweep(name, workers, given.trials, given.epochs)
        rows.append(row)
        row["ratio"] = row["trials_per_min"] / rows[0]["trials_per_min"]
        print(
            f"{name:<12}{row['seconds']:>9.1f}{row['trials_per_min']:>12.1f}{row['ratio']:>7.2f}{row['peak_mb']:>9.0f}",
            flush=True,
        )
    memory = None
    if given.memory_trials:
        memory = sweep("processes", 1, given.memory_trials, 2)
        grown = memory["last_mb"] / memory["first_mb"]
        memory["ratio"] = grown
        print(
            f"a worker over {given.memory_trials} trials: {memory['first_mb']:.0f} MB, then "
            f"{memory['last_mb']:.0f} MB, {grown:.2f} times"
        )
    if given.json:
        told = {"cpus": os.cpu_count(), "machine": platform.platform(), "python": platform.python_version()}
        versions = {name: version(name) for name in PACKAGES}
        print(json.dumps({"trials": given.trials, "rows": rows, "memory": memory, **told, "versions": versions}))


def sweep(launcher: str, workers: int, trials: int, epochs: int) -> dict[str, Any]:
    """One sweep as a whole process, in a folder of its own."""
    rates = ",".join(f"{1e-4 * 100 ** (i / max(1, trials - 1)):.6g}" for i in range(trials))
    command = [
        *(sys.executable, "-m", "kexp", "-m", f"hydra/launcher={launcher}", "model.hidden=[32]", "save.keep=none"),
        *(f"trainer.epochs={epochs}", "trainer.batch_size=32", f"optimizer.learning_rate={rates}"),
    ]
    if launcher == "processes":
        command.append(f"hydra.launcher.n_workers={workers}")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        samples: list[tuple[float, float]] = []
        threading.Thread(target=watch, args=(process.pid, samples), daemon=True).start()
        _, failed = process.communicate()
        seconds = time.perf_counter() - started
        if process.returncode:
            sys.exit(f"{launcher} failed:\n{failed[-2000:]}")
        with sqlite3.connect(os.path.join(folder, "mlflow.db")) as store:
            query = "SELECT end_time FROM runs WHERE name LIKE '%-%' AND status = 'FINISHED' ORDER BY end_time"
            ends = [end / 1000 for (end,) in store.execute(query)][:trials]
    steady = ends[workers - 1 :]
    largest = [worker for _, worker in samples]
    tenth = max(1, len(largest) // 10)
    return {
        "who": "kexp",
        "what": launcher,
        "seconds": seconds,
        "trials_per_min": 60 * (len(steady) - 1) / (steady[-1] - steady[0]),
        "peak_mb": max(whole for whole, _ in samples),
        "first_mb": statistics.median(largest[tenth : 2 * tenth] or largest),
        "last_mb": statistics.median(largest[-tenth - tenth // 2 : -tenth // 2] or largest),
    }


def watch(pid: int, samples: list[tuple[float, float]]) -> None:
    """The resident memory of a process and its children, and of the largest child, until it ends."""
    while True:
        try:
            first = psutil.Process(pid)
            children = [each.memory_info().rss / 1e6 for each in first.children(recursive=True)]
            samples.append((first.memory_info().rss / 1e6 + sum(children), max(children, default=0.0)))
        except psutil.NoSuchProcess:
            if not psutil.pid_exists(pid):
                return
        time.sleep(0.2)


if __name__ == "__main__":
    main()

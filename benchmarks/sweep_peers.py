"""The same trials by hand, by other tools and by kexp's launchers, as whole processes side by side.

    python benchmarks/sweep_peers.py                          # 16 trials, everything that is installed
    python benchmarks/sweep_peers.py --trials 256 --only loop,fused --loop-trials 4
    python benchmarks/sweep_peers.py --json                   # one line of JSON at the end

A trial is an MLP 64-32-10 on scikit-learn's digits, 20 epochs of batch 32, Adam; trials differ in the learning rate,
1e-4 to 1e-2. Start and imports are on the clock. kexp tracks each trial in MLflow and keeps the best five models;
the others track nothing unless their name says so. With `--loop-trials` what is written by hand runs so many trials,
and its time is told a trial. What is not installed is left out, and said.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import psutil

COMMON = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
TRIALS, EPOCHS = int(sys.argv[1]), int(sys.argv[2])
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
RATES = np.logspace(-4, -2, TRIALS)
x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x / 16.0, y, test_size=0.2, random_state=0)

def build(rate):
    import keras
    net = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")])
    net.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net

def train(rate):
    import keras
    keras.utils.set_random_seed(0)
    net = build(rate)
    net.fit(x, y, epochs=EPOCHS, batch_size=32, validation_split=0.2, verbose=0)
    return net.evaluate(x_test, y_test, verbose=0)[1]
"""
AUTOLOGGED = """
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.keras.autolog(log_models={models})
best = 0.0
for rate in RATES:
    with mlflow.start_run():
        best = max(best, train(float(rate)))
print('best', best)
"""
PEERS = {
    "loop": ("keras", COMMON + "print('best', max(train(float(rate)) for rate in RATES))"),
    "autolog": ("mlflow", COMMON + AUTOLOGGED.format(models=False)),
    "autolog-models": ("mlflow", COMMON + AUTOLOGGED.format(models=True)),
    "optuna": (
        "optuna",
        COMMON
        + """
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
sampler = optuna.samplers.GridSampler({"rate": list(map(float, RATES))})
study = optuna.create_study(direction="maximize", sampler=sampler)
study.optimize(lambda trial: train(trial.suggest_float("rate", 1e-4, 1e-2)), n_trials=TRIALS)
print('best', study.best_value)
""",
    ),
    "keras-tuner": (
        "keras_tuner",
        COMMON
        + """
import keras_tuner
tuner = keras_tuner.GridSearch(lambda hp: build(hp.Choice("rate", list(map(float, RATES)))), "val_accuracy",
                               max_trials=TRIALS, directory=".", project_name="peers")
tuner.search(x, y, epochs=EPOCHS, batch_size=32, validation_split=0.2, verbose=0)
print('best', tuner.get_best_models(1)[0].evaluate(x_test, y_test, verbose=0)[1])
""",
    ),
    "ray-tune": (
        "ray",
        COMMON
        + """
import ray
from ray import tune

class Trial(tune.Trainable):
    def setup(self, config): self.rate = config["rate"]
    def reset_config(self, config): self.rate = config["rate"]; return True
    def step(self): return {"accuracy": train(self.rate), "done": True}
    def save_checkpoint(self, folder): pass
    def load_checkpoint(self, state): pass

ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
found = tune.Tuner(
    tune.with_resources(Trial, {"cpu": 1}), param_space={"rate": tune.grid_search(list(map(float, RATES)))},
    tune_config=tune.TuneConfig(metric="accuracy", mode="max", reuse_actors=True),
    run_config=tune.RunConfig(verbose=0, storage_path=os.getcwd()),
).fit()
print('best', found.get_best_result().metrics["accuracy"])
""",
    ),
}
LAUNCHERS = {"serial": "kexp", "processes": "kexp", "fused": "kexp", "ray": "kexp_ray"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", help="names of contenders, with commas between: loop, autolog, optuna, fused, ...")
    parser.add_argument("--loop-trials", type=int, help="trials that the contenders by hand run; their time is scaled")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else [*PEERS, *LAUNCHERS]
    unknown = set(names) - {*PEERS, *LAUNCHERS}
    if unknown:
        parser.error(f"--only: there is no contender {', '.join(sorted(unknown))}")
    rows: list[dict[str, Any]] = []
    print(f"{'':<15}{'seconds':>9}{'s/trial':>9}{'ratio':>8}{'peak MB':>9}{'best':>8}")
    for name in names:
        needed = PEERS[name][0] if name in PEERS else LAUNCHERS[name]
        if find_spec(needed) is None:
            print(f"{name:<15}left out: {needed} is not installed")
            continue
        row = contend(name, given)
        rows.append(row)
        base = next((each["s_per_trial"] for each in rows if each["name"] == "loop"), None)
        row["ratio"] = None if base is None else base / row["s_per_trial"]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.1f}"
        print(
            f"{name:<15}{row['seconds']:>9.1f}{row['s_per_trial']:>9.3f}{ratio:>8}{row['peak_mb']:>9.0f}"
            f"{row['best']:>8.4f}{row['note']}",
            flush=True,
        )
    print("\nratio: how many times faster a trial than the loop")
    if given.json:
        print(json.dumps({"trials": given.trials, "epochs": given.epochs, "rows": rows, "machine": machine()}))


def contend(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """One contender in a process and a folder of its own."""
    count = given.trials
    if name in PEERS:
        count = min(count, given.loop_trials or count)
        command = [sys.executable, "-c", PEERS[name][1], str(count), str(given.epochs)]
    else:
        rates = [f"{1e-4 * 100 ** (i / max(1, count - 1)):.6g}" for i in range(count)]
        command = [
            *(sys.executable, "-m", "kexp", "-m", f"hydra/launcher={name}", "model.hidden=[32]"),
            *(f"trainer.epochs={given.epochs}", "trainer.batch_size=32", f"optimizer.learning_rate={','.join(rates)}"),
        ]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        peak: list[float] = []
        watcher = threading.Thread(target=watch, args=(process.pid, peak), daemon=True)
        watcher.start()
        told, failed = process.communicate()
        seconds = time.perf_counter() - started
        if process.returncode:
            sys.exit(f"{name} failed:\n{failed[-2000:]}")
        best = float(told.split()[-1]) if name in PEERS else best_of(folder)
    note = "" if count == given.trials else f"  ({count} trials)"
    return {
        "name": name, "seconds": seconds, "s_per_trial": seconds / count, "peak_mb": max(peak, default=0.0),
        "best": best, "note": note,
    }  # fmt: skip


def watch(pid: int, peak: list[float]) -> None:
    """The resident memory of a process and its children, until it ends."""
    while True:
        try:
            first = psutil.Process(pid)
            peak.append(sum(each.memory_info().rss for each in [first, *first.children(recursive=True)]) / 1e6)
        except psutil.Error:
            return
        time.sleep(0.2)


def best_of(folder: str) -> float:
    import sqlite3

    with sqlite3.connect(os.path.join(folder, "mlflow.db")) as store:
        (best,) = store.execute("SELECT MAX(value) FROM latest_metrics WHERE key = 'test_accuracy'").fetchone()
    return float(best)


def machine() -> dict[str, Any]:
    versions = {}
    for package in ("kexp", "keras", "tensorflow", "jax", "mlflow", "optuna", "keras-tuner", "ray"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {"cpus": os.cpu_count(), "python": platform.python_version(), **versions}


if __name__ == "__main__":
    main()

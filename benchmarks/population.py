"""The best value that a budget of epochs finds: sweeps in stages, searches with Optuna's pruners, Ray Tune's PBT.

    python benchmarks/population.py                       # everything that is installed, one seed
    python benchmarks/population.py --seeds 3 --json      # medians, and one line of JSON at the end

All look for the learning rate (1e-4 to 0.1) and the dropout (0.05 to 0.5) of an MLP 64-32-10 on scikit-learn's digits,
the same rows, with Adam and batches of 32. `--trials` times `--epochs` is a whole sweep; sweeps in stages train a
quarter of that. Told are the best validation accuracy after the last epoch, the epochs trained, and the seconds of the
whole process, imports too. kexp tracks every trial in MLflow; Ray Tune tracks nothing, and its members train by Keras
on JAX, a worker a core. To reach: the best value of the whole sweep, to two standard errors of the measurement, at a
quarter of the epochs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

SPACE = ["optimizer.learning_rate=tag(log, interval(1e-4,1e-1))", "model.dropout=interval(0.05,0.5)"]
VALIDATION_ROWS = 288
RAY = """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
MEMBERS, EPOCHS, SEED = map(int, sys.argv[1:])
import pickle
import numpy as np
import ray
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining

rows = np.load("rows.npz")
DATA = [rows[name] for name in ("x", "x_val", "y", "y_val")]

class Member(tune.Trainable):
    def setup(self, config):
        import keras
        keras.utils.set_random_seed(0)
        self.dropout = keras.layers.Dropout(config["dropout"])
        layers = [keras.Input((64,)), keras.layers.Dense(32, "relu"), self.dropout, keras.layers.Dense(10, "softmax")]
        self.net = keras.Sequential(layers)
        adam = keras.optimizers.Adam(config["rate"])
        self.net.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])

    def reset_config(self, config):
        self.dropout.rate, self.net.train_function = config["dropout"], None
        self.net.optimizer.learning_rate = config["rate"]
        return True

    def step(self):
        x, x_val, y, y_val = DATA
        self.net.fit(x, y, batch_size=32, verbose=0)
        return {"accuracy": self.net.evaluate(x_val, y_val, verbose=0)[1]}

    def save_checkpoint(self, folder):
        kept = [np.asarray(each) for each in [*self.net.weights, *self.net.optimizer.variables]]
        with open(os.path.join(folder, "kept"), "wb") as file:
            pickle.dump(kept, file)

    def load_checkpoint(self, folder):
        with open(os.path.join(folder, "kept"), "rb") as file:
            kept = pickle.load(file)
        self.net.optimizer.build(self.net.trainable_variables)
        rate = float(self.net.optimizer.learning_rate)
        for variable, value in zip([*self.net.weights, *self.net.optimizer.variables], kept):
            variable.assign(value)
        self.net.optimizer.learning_rate = rate

ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
space = {"rate": tune.loguniform(1e-4, 1e-1), "dropout": tune.uniform(0.05, 0.5)}
pbt = PopulationBasedTraining("training_iteration", perturbation_interval=1, hyperparam_mutations=space, synch=True)
np.random.seed(SEED)
found = tune.Tuner(
    tune.with_resources(Member, {"cpu": 1}), param_space=space,
    tune_config=tune.TuneConfig(metric="accuracy", mode="max", scheduler=pbt, num_samples=MEMBERS, reuse_actors=True),
    run_config=tune.RunConfig(verbose=0, storage_path=os.getcwd(), stop={"training_iteration": EPOCHS}),
).fit()
print("best", max(result.metrics["accuracy"] for result in found))
"""


def contenders(trials: int, epochs: int, seed: int) -> dict[str, list[str]]:
    """What kexp is given, by name."""
    members = trials // 4
    searches = ["hydra/sweeper=optuna", "hydra.sweeper.sampler=random", f"hydra.sweeper.n_trials={trials}"]
    hyperband = f"hydra.sweeper.pruner={{name: hyperband, max_resource: {epochs}, reduction_factor: 4}}"
    found = {
        "whole": [*searches],
        "asha": ["hydra/sweeper=asha", f"hydra.sweeper.n_trials={trials}", "hydra.sweeper.eta=2"],
        "pbt": ["hydra/sweeper=pbt", f"hydra.sweeper.population={members}"],
        "optuna-halving": [*searches, "hydra.sweeper.pruner=successive_halving"],
        "optuna-hyperband": [*searches, hyperband],
        "optuna-median": [*searches, "hydra.sweeper.pruner={name: median, n_startup_trials: 5}"],
    }
    shared = [f"hydra.sweeper.seed={seed}", f"trainer.epochs={epochs}", "model.hidden=[32]", *SPACE]
    same = ["sweep.objective=val_accuracy", "save=none", "tracking.figures=false", "hydra/launcher=fused"]
    return {name: [*chosen, *shared, *same] for name, chosen in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=1, help="how often, each time with other draws; medians are told")
    parser.add_argument("--only", help="names of contenders, with commas between")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    names = [*contenders(given.trials, given.epochs, 0), "ray-pbt"]
    chosen = given.only.split(",") if given.only else names
    if unknown := set(chosen) - set(names):
        parser.error(f"--only: there is no contender {', '.join(sorted(unknown))}")
    rows = []
    print(f"{'':<18}{'best':>8}{'epochs':>8}{'share':>7}{'seconds':>9}")
    for name in chosen:
        if name == "ray-pbt" and find_spec("ray") is None:
            print(f"{name:<18}left out: ray is not installed")
            continue
        tries = [contend(name, given, seed) for seed in range(given.seeds)]
        row = {key: statistics.median(each[key] for each in tries) for key in ("best", "epochs", "seconds")}
        rows.append({"name": name, **row, "all": [each["best"] for each in tries]})
        share = row["epochs"] / (given.trials * given.epochs)
        print(f"{name:<18}{row['best']:>8.4f}{row['epochs']:>8.0f}{share:>7.0%}{row['seconds']:>9.1f}", flush=True)
    whole = next((row["best"] for row in rows if row["name"] == "whole"), None)
    if whole is not None:
        error = math.sqrt(whole * (1 - whole) / VALIDATION_ROWS)
        print(f"\nto reach: {whole - 2 * error:.4f}, two standard errors below the whole sweep")
    if given.json:
        print(json.dumps({"trials": given.trials, "epochs": given.epochs, "rows": rows, "machine": machine()}))


def contend(name: str, given: argparse.Namespace, seed: int) -> dict[str, float]:
    """One contender in a process and a folder of its own."""
    if name == "ray-pbt":
        command = [sys.executable, "-c", RAY, str(given.trials // 4), str(given.epochs), str(seed)]
    else:
        command = [sys.executable, "-m", "kexp", "-m", *contenders(given.trials, given.epochs, seed)[name]]
    with tempfile.TemporaryDirectory() as folder:
        if name == "ray-pbt":
            leave_rows(folder)
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode and not (
            name != "ray-pbt" and done.returncode == 1
        ):  # of some learning rates losses diverge
            sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
        if name == "ray-pbt":
            best, epochs = float(done.stdout.split()[-1]), float(given.trials // 4 * given.epochs)
        else:
            best, epochs = found_in(folder, given.epochs)
    return {"best": best, "epochs": epochs, "seconds": seconds}


def leave_rows(folder: str) -> None:
    """The rows that kexp trains and validates on."""
    from kexp.config import compose, plain
    from kexp.experiment import prepare
    from kexp.schema import check

    splits = prepare(check(plain(compose(["tracking=none"])))).splits
    parts = {"": splits.train, "_val": splits.validation}
    taken = {name: part.batch(np.arange(len(part), dtype=np.intp)) for name, part in parts.items() if part is not None}
    np.savez(
        os.path.join(folder, "rows.npz"),
        **{f"{axis}{name}": rows[place] for name, rows in taken.items() for place, axis in enumerate("xy")},
    )


def found_in(folder: str, epochs: int) -> tuple[float, float]:
    """The best of the trials that trained to the end, and how many epochs all of them trained."""
    with sqlite3.connect(os.path.join(folder, "mlflow.db")) as store:
        rows = store.execute("SELECT value, step FROM latest_metrics WHERE key = 'val_accuracy'").fetchall()
    return max(value for value, step in rows if step == epochs), float(sum(step for _, step in rows))


def machine() -> dict[str, Any]:
    versions = {}
    for package in ("kexp", "keras", "jax", "optuna", "ray"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {"cpus": os.cpu_count(), "python": platform.python_version(), **versions}


if __name__ == "__main__":
    main()

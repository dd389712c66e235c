"""A sweep whose MLflow server is far away: whole processes, through a proxy that answers each request late.

    python benchmarks/distance.py --trials 16 256 --delays 0 0.05 0.2 0.5

The server is a real `mlflow server` on SQLite. Beside kexp stand a loop of Keras trainings with MLflow's own callback,
and KerasTuner, which then needs TensorBoard, with that callback in each trial, both without saved models (`--only
peers`; `--only kexp` leaves them out). `one` is a single run of kexp's. `compare` is `kexp compare` from the server
alone, and again.
Requests are those of the trials, the plan and the sweep's own run; not those of the report and of the saved models.
`MB` is the most that a process of the sweep held.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distant import Distant, distant

from kexp.tracking.server import running_server

REPORT, OF_MODELS = ("report.html", "report.md", "trials.csv"), ("models/", "saved/", "figures/")
LOOP = """
import os, mlflow, keras, numpy as np
from sklearn.datasets import load_iris
x, y = load_iris(return_X_y=True)
mlflow.set_experiment("loop")
for seed in range({trials}):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(32, "relu"), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with mlflow.start_run():
        logs = mlflow.keras.MlflowCallback()
        model.fit(x, y, epochs=5, batch_size=32, validation_split=0.2, verbose=0, callbacks=[logs])
"""
TUNER = """
import os, tempfile, mlflow, keras, keras_tuner
from sklearn.datasets import load_iris
x, y = load_iris(return_X_y=True)
mlflow.set_experiment("tuner")

def build(hp):
    hp.Int("seed", 0, 10**6)
    layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(32, "relu"), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

class Tracked(keras_tuner.RandomSearch):
    def run_trial(self, trial, *args, callbacks=(), **kwargs):
        with mlflow.start_run():
            mlflow.log_params(trial.hyperparameters.values)
            return super().run_trial(trial, *args, callbacks=[*callbacks, mlflow.keras.MlflowCallback()], **kwargs)

with tempfile.TemporaryDirectory() as folder:
    tuner = Tracked(build, "val_accuracy", max_trials={trials}, directory=folder, seed=0)
    tuner.search(x, y, epochs=5, batch_size=32, validation_split=0.2, verbose=0)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[16, 256])
    parser.add_argument("--delays", type=float, nargs="+", default=[0, 0.05, 0.2, 0.5], help="seconds a request")
    parser.add_argument("--only", choices=("kexp", "peers"), help="leave out the others")
    options = parser.parse_args()
    kexp = "" if options.only == "peers" else "   kexp s  req/trial   MB   compare s          one s"
    print(f"trials  delay{kexp}{'' if options.only == 'kexp' else '   loop s  tuner s'}", flush=True)
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as address:
        for trials in options.trials:
            for delay in options.delays:
                with distant(address, delay) as far:
                    row = f"{trials:>6}  {delay:>5}"
                    row += "" if options.only == "peers" else _measure(far, trials, Path(folder))
                    for peer in [] if options.only == "kexp" else [LOOP, TUNER]:
                        row += f"  {_peer(far, peer.replace('{trials}', str(trials))):7.1f}"
                print(row, flush=True)


@contextlib.contextmanager
def _server(folder: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running_server(f"sqlite:///{folder / 'mlflow.db'}", port, artifacts=folder / "artifacts") as (address, _):
        yield address


def _measure(far: Distant, trials: int, folder: Path) -> str:
    place = Path(tempfile.mkdtemp(dir=folder))
    where = [f"tracking.uri={far.address}", f"tracking.experiment={place.name}"]
    overrides = ["data=iris", "trainer.epochs=5", f"seed=range({trials})", "sweep.name=far", "trainer.verbose=0"]
    seconds, largest = _run(place, "-m", *overrides, *where)
    requests = _of_trials(far) / trials
    compared = [_run(place, "compare", "far", *where)[0] for _ in range(2)]
    one, _ = _run(place, "data=iris", "trainer.epochs=5", "seed=100000", "trainer.verbose=0", *where)
    return f"  {seconds:7.1f}  {requests:9.1f}  {largest:5.0f}  {compared[0]:6.1f} {compared[1]:6.1f}  {one:8.1f}"


def _of_trials(far: Distant) -> int:
    """The requests that are for no model and not for the report: both take as many whatever the number of trials."""
    counts = far.counts()
    others = ("logged-models", "runs/outputs", *(f"artifact {name}" for name in (*OF_MODELS, *REPORT)))
    # Of a model, its run is asked for and its metrics are linked; for the report the runs are read and it is linked.
    questions = 2 * counts["POST logged-models"] + 5
    return sum(count for each, count in counts.items() if not any(word in each for word in others)) - questions


def _run(place: Path, *arguments: str) -> tuple[float, float]:
    """Seconds, and the most that the process or one of its own held, in MB."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "kexp", *arguments], cwd=place, stdout=said, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(said.read().decode())
    return time.perf_counter() - began, used.ru_maxrss / 1024


def _peer(far: Distant, program: str) -> float:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": far.address, "TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

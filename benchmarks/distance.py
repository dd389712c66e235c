"""A sweep whose MLflow server is far away: whole processes, through a proxy that answers each request late.

    python benchmarks/distance.py --trials 16 256 --delays 0 0.05 0.2 0.5

The server is a real `mlflow server` on SQLite. Beside kexp stands a loop of Keras trainings with MLflow's own callback
and no saved models, at the first size alone (`--no-peer` leaves it out). `compare` is `kexp compare`, a process of its
own, once and again. Requests are all but those for models: those of the report, of the plan and of the sweep's own run
are among them.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[16, 256])
    parser.add_argument("--delays", type=float, nargs="+", default=[0, 0.05, 0.2, 0.5], help="seconds a request")
    parser.add_argument("--no-peer", action="store_true", help="leave out the loop with autologging")
    options = parser.parse_args()
    print(f"{'trials':>6}  {'delay':>5}  {'kexp s':>7}  {'req/trial':>9}  {'compare s':>13}  {'loop s':>7}")
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as address:
        for trials in options.trials:
            for delay in options.delays:
                with distant(address, delay) as far:
                    row = _measure(far, trials, Path(folder))
                    peer = "" if options.no_peer or trials != options.trials[0] else f"{_loop(far, trials):7.1f}"
                print(f"{trials:>6}  {delay:>5}  {row}  {peer:>7}", flush=True)


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
    seconds = _run(place, "-m", *overrides, *where)
    # What the models of the best take is the same whatever the number of trials.
    models = sum(count for each, count in far.counts().items() if "logged-models" in each or "outputs" in each)
    uploads = far.counts()["PUT artifact"] - 2 * trials
    requests = (len(far.requests) - models - uploads) / trials
    compared = [_run(place, "compare", "far", *where) for _ in range(2)]
    return f"{seconds:7.1f}  {requests:9.1f}  {compared[0]:6.1f} {compared[1]:6.1f}"


def _run(place: Path, *arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kexp", *arguments], cwd=place, check=True, capture_output=True)
    return time.perf_counter() - began


def _loop(far: Distant, trials: int) -> float:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": far.address, "TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.perf_counter()
    program = LOOP.format(trials=trials)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

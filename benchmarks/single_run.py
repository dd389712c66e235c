"""One training, as whole processes side by side: by hand, by hand with MLflow's autologging, and by kexp.

    python benchmarks/single_run.py [--repeats 3] [--epochs 20] [--json]

The training is the same: digits, an MLP 64-64-32-10, Adam, batch 32. kexp also tracks it and saves three formats, each
read back. To reach: kexp within 3 s of the script by hand, and less than half of the one with autologging.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

BY_HAND = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
{autolog}
keras.utils.set_random_seed(0)
digits = load_digits()
x, x_test, y, y_test = train_test_split(digits.data / 16.0, digits.target, test_size=0.2, random_state=0)
model = keras.Sequential([
    keras.Input((64,)),
    keras.layers.Dense(64, activation="relu"),
    keras.layers.Dense(32, activation="relu"),
    keras.layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
{run}model.fit(x, y, epochs={epochs}, batch_size=32, validation_split=0.2, verbose=0)
print("accuracy", model.evaluate(x_test, y_test, verbose=0)[1])
"""
AUTOLOG = 'import mlflow\nmlflow.set_tracking_uri("sqlite:///mlflow.db")\nmlflow.keras.autolog()'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--repeats", type=int, default=3, help="how often each is run; the median counts, and the least is shown too"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    by_hand = BY_HAND.format(autolog="", run="", epochs=given.epochs)
    autologged = BY_HAND.format(autolog=AUTOLOG, run="", epochs=given.epochs)
    contenders = {
        "by hand": [sys.executable, "-c", by_hand],
        "by hand, autolog": [sys.executable, "-c", autologged],
        "kexp": [sys.executable, "-m", "kexp", f"trainer.epochs={given.epochs}", "model.hidden=[64,32]"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(given.repeats):  # in turns, so that a busy minute hits all alike
        for name, command in contenders.items():
            taken, used = measured(command)
            seconds[name].append(taken)
            cpu[name].append(used)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{'':<18}{'seconds':>9}{'ratio':>8}{'least':>8}{'CPU s':>8}   each")
    for name, value in median.items():
        each = " ".join(f"{one:.1f}" for one in seconds[name])
        least, used = min(seconds[name]), min(cpu[name])
        print(f"{name:<18}{value:>9.1f}{value / median['by hand']:>8.2f}{least:>8.1f}{used:>8.1f}   {each}")
    over = median["kexp"] - median["by hand"]
    print(f"\nkexp is {over:+.1f} s from by hand (to reach: +3.0), and")
    print(f"{median['kexp'] / median['by hand, autolog']:.2f} of autologging (to reach: 0.50)")
    if given.json:
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        versions = {name: version(name) for name in ("keras", "tensorflow", "mlflow", "hydra-core")}
        print(
            json.dumps(
                {
                    "seconds": median,
                    "least_seconds": {name: min(values) for name, values in seconds.items()},
                    "cpu_seconds": {name: min(values) for name, values in cpu.items()},
                    "ratio": {name: value / median["by hand"] for name, value in median.items()},
                    "peak_mb": peak_mb,
                    "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), **versions},
                }
            )
        )


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds of the whole process, in an empty folder, and of processor time with the processes that it starts."""
    with tempfile.TemporaryDirectory() as folder:
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=_environment())
        taken, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"{command[:3]} failed:\n{done.stderr[-2000:]}")
        assert "accuracy" in done.stdout
        assert list(Path(folder).iterdir()) or command[1] == "-c"
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _environment() -> dict[str, str]:
    ours = ("MLFLOW_TRACKING_URI", "KERAS_BACKEND", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in ours}


if __name__ == "__main__":
    main()

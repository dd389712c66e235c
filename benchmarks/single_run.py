"""One training, as whole processes side by side: by hand, by hand with MLflow's autologging, and by kexp.

    python benchmarks/single_run.py [--repeats 3] [--epochs 20] [--json]
    python benchmarks/single_run.py --case wide --epochs 5    # 60,000 rows of 784 numbers, MLP 784-1024-10, batch 256

The training is the same: digits, an MLP 64-64-32-10, Adam, batch 32; or the wide one, on random numbers of MNIST's
size. kexp also tracks it and saves three formats, each read back, once as it is installed and once by
`trainer.engine=compiled` on JAX. To reach: kexp within 3 s of the script by hand, less than half of the one with
autologging, 3 s compiled; and 0.9 of the script by hand on the wide one.
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
from sklearn.model_selection import train_test_split
{autolog}
keras.utils.set_random_seed(0)
{rows}
x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0)
hidden = [keras.layers.Dense(units, activation="relu") for units in {hidden}]
model = keras.Sequential([keras.Input(x.shape[1:]), *hidden, keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs={epochs}, batch_size={batch}, validation_split=0.2, verbose=0)
print("accuracy", model.evaluate(x_test, y_test, batch_size={batch}, verbose=0)[1])
"""
DIGITS = "from sklearn.datasets import load_digits\nx, y = load_digits(return_X_y=True)\nx = x / 16.0"
ARRAYS = "import numpy as np\nwith np.load({file!r}) as rows:\n    x, y = rows['x'], rows['y']"
AUTOLOG = 'import mlflow\nmlflow.set_tracking_uri("sqlite:///mlflow.db")\nmlflow.keras.autolog()'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--repeats", type=int, default=3, help="how often each is run; the median counts, and the least is shown too"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--case", choices=("digits", "wide"), default="digits")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(contenders(given.case, given.epochs, Path(folder) / "rows.npz"), given)


def contenders(case: str, epochs: int, file: Path) -> dict[str, list[str]]:
    """The commands; what they read is written to the file, where it is needed."""
    if case == "wide":
        import numpy as np

        random = np.random.default_rng(0)
        np.savez(file, x=random.random((60000, 784), np.float32), y=random.integers(0, 10, 60000))
        rows, hidden, batch, data = ARRAYS.format(file=str(file)), [1024], 256, ["data=npz", f"data.path={file}"]
    else:
        rows, hidden, batch, data = DIGITS, [64, 32], 32, []
    by_hand = {
        name: BY_HAND.format(autolog=autolog, rows=rows, hidden=hidden, epochs=epochs, batch=batch)
        for name, autolog in (("by hand", ""), ("by hand, autolog", AUTOLOG))
    }
    layers = f"model.hidden={hidden}".replace(" ", "")
    ours = ["-m", "kexp", *data, "model=mlp", layers, f"trainer.epochs={epochs}", f"trainer.batch_size={batch}"]
    compiled = [*ours, "trainer.engine=compiled", "backend=jax"]
    return {
        **{name: [sys.executable, "-c", program] for name, program in by_hand.items()},
        "kexp": [sys.executable, *ours],
        "kexp, compiled": [sys.executable, *compiled],
    }


def compare(contenders: dict[str, list[str]], given: argparse.Namespace) -> None:
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

"""The fused engine against a hand-written Keras loop: seconds a trial, and how near the floor.

    python benchmarks/fused.py                         # the whole table, minutes
    python benchmarks/fused.py --cases mlp:16,mlp:256  # some rows: MODEL:TRIALS[:EPOCHS]
    python benchmarks/fused.py --lanes 1,4,16,64       # how the time a trial falls with the number of lanes
    python benchmarks/fused.py --json                  # one line of JSON at the end
    python benchmarks/fused.py --equal mlp:64:5        # lanes against the same trials, each trained alone
    python benchmarks/fused.py --cases inputs:32:5 --memory-mb 40  # with less memory than data: fed in blocks

Every row runs in a process of its own, start and imports on the clock, with the compile cache given by `--cache`. The
loop (`Sequential`, `compile`, `fit`, `evaluate` on TensorFlow, one trial after the other) runs in the same call, on
`--loop-trials` trials after one that is not counted; its time a trial is per trial of that process, without imports.
The floor is the time of the work's matrix products at the rate that NumPy has at their shapes, in a process beside.
On a machine without TensorFlow the loop runs on JAX. Data is scikit-learn's digits, or random numbers of the same shape
where scikit-learn is missing: jax, keras, NumPy and the packages that compose a config (hydra-core, psutil) are enough.

With `--lanes` each row trains the MLP with so many lanes a program, on twice as many trials, 64 at least, of 5 epochs:
`--lanes 256,1024,4096,16384` is for a GPU.
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
from itertools import pairwise
from typing import Any

MODELS = {
    "mlp": (["model=mlp", "model.hidden=[32]"], 32, (64, 32, 10)),
    "inputs": (["model=mlp", "model.hidden=[32]"], 32, (784, 32, 10)),
    "wide": (["model=mlp", "model.hidden=[256]"], 128, (784, 256, 10)),
    "wider": (["model=mlp", "model.hidden=[1024]"], 256, (784, 1024, 10)),
    "lstm": (["model=lstm", "model.units=[32]"], 32, None),
    "cnn": (["model=cnn", "model.filters=[16,32]", "model.dense=[]"], 32, None),
    "images": (["model=cnn", "model.filters=[32,64]", "model.dense=[]"], 64, None),
}
SHAPES = {"images": 32, "inputs": 28, "wide": 28, "wider": 28, "mlp": 8, "lstm": 8, "cnn": 8}  # sides of the images
CASES = "mlp:16,mlp:256,mlp:1024,wide:32,lstm:32,cnn:32,mlp:1000:5,mlp:10000:5"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--loop-trials", type=int, default=2)
    parser.add_argument("--loop-epochs", type=int, default=20, help=argparse.SUPPRESS)
    parser.add_argument("--no-loop", action="store_true")
    parser.add_argument("--cache", choices=("warm", "cold"), default="warm")
    parser.add_argument("--lanes", help="numbers of lanes, with commas between, instead of the table of models")
    parser.add_argument("--width", type=int)
    parser.add_argument("--memory-mb", type=int, help="memory for data and lanes")
    parser.add_argument("--equal", metavar="CASE")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--verify", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--loop", help=argparse.SUPPRESS)
    parser.add_argument("--gemm", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(engine(given.one, given.width, given.threads, given.memory_mb, given.verify)))
    elif given.loop:
        print(json.dumps(loop(given.loop, given.loop_trials, given.loop_epochs)))
    elif given.gemm:
        print(json.dumps({"rate": gemm_rate(given.gemm)}))
    elif given.equal:
        row = process(["--one", given.equal, "--verify", "8"], "jax", {})
        checked = min(8, row["trials"])
        print(
            f"{given.equal}: {len(row['unequal'])} of {checked} lanes differ from the trial alone, on {row['device']}"
        )
        print("\n".join(row["unequal"]), end="")
    elif given.lanes:
        by_lanes(given)
    else:
        table(given)


def table(given: argparse.Namespace) -> None:
    loops: dict[str, float] = {}
    rows = []
    with tempfile.TemporaryDirectory() as cold:
        for case in given.cases.split(","):
            model, _, rest = case.partition(":")
            epochs = int(rest.partition(":")[2] or 20)
            extra = [f"--{k}={v}" for k, v in _engine_options(given) if v]
            place = {"KEXP_CACHE": cold} if given.cache == "cold" else {}
            if given.cache == "warm":
                process(["--one", f"{model}:4:1", *extra], "jax", place)
            started = time.perf_counter()
            row = process(["--one", case, *extra], "jax", place)
            row |= {"case": case, "process_s": time.perf_counter() - started}
            if MODELS[model][2]:
                rate = process(["--gemm", model], "jax", place)["rate"]
                row["floor"] = row["steady_trial_s"] * rate / work(model, row["rows"], row["held"], epochs)
            if not given.no_loop:
                name = f"{model}:{epochs}"
                if name not in loops:
                    options = [f"--loop-trials={given.loop_trials}", f"--loop-epochs={epochs}"]
                    backend = "tensorflow" if find_spec("tensorflow") else "jax"
                    loops[name] = process(["--loop", model, *options], backend, {})["trial_s"]
                row["loop_trial_s"] = loops[name]
                row["times_faster"] = row["loop_trial_s"] / (row["process_s"] / row["trials"])
                row["times_faster_steady"] = row["loop_trial_s"] / row["steady_trial_s"]
            rows.append(row)
            print(told(row), flush=True)
    if given.json:
        print(json.dumps({"rows": rows, "machine": machine(), "cache": given.cache}))


def _engine_options(given: argparse.Namespace) -> list[tuple[str, int | None]]:
    return [("width", given.width), ("threads", given.threads), ("memory-mb", given.memory_mb)]


def by_lanes(given: argparse.Namespace) -> None:
    """The time a trial by the number of lanes: of the whole process, and once programs are compiled and lanes full."""
    rows = []
    for width in map(int, given.lanes.split(",")):
        trials = max(64, 2 * width)
        extra = ["--threads", str(given.threads)] if given.threads else []
        started = time.perf_counter()
        row = process(["--one", f"mlp:{trials}:5", "--width", str(width), *extra], "jax", {})
        row |= {"lanes": width, "process_s": time.perf_counter() - started}
        rows.append(row)
        print(
            f"{width:>6} lanes  {trials:>6} trials  process {row['process_s']:7.1f} s, "
            f"{1e3 * row['process_s'] / trials:8.2f} ms a trial  steady {1e3 * row['steady_trial_s']:8.3f} ms a trial  "
            f"{on_device(row)}",
            flush=True,
        )
    if given.json:
        print(json.dumps({"lanes": rows, "machine": machine()}))


def told(row: dict[str, Any]) -> str:
    line = (
        f"{row['case']:>14}  process {row['process_s']:7.1f} s  plan {row['plan_s']:6.1f} s  "
        f"steady {1e3 * row['steady_trial_s']:8.2f} ms/trial  memory {row['memory_mb']:6.0f} MB  {row['executor']}"
    )
    if row["device_mb"]:
        line += f"  {on_device(row)}"
    if row.get("floor"):
        line += f"  {row['floor']:.1f} x floor"
    if "loop_trial_s" in row:
        line += (
            f"  loop {row['loop_trial_s']:6.2f} s/trial  {row['times_faster']:7.1f} x whole"
            f"  {row['times_faster_steady']:7.1f} x steady"
        )
    return line


def on_device(row: dict[str, Any]) -> str:
    return str(row["device"]) + (f" {row['device_mb']:.0f} MB" if row["device_mb"] else "")


def process(arguments: list[str], backend: str, extra: dict[str, str]) -> dict[str, Any]:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", **extra}
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def rows_of(model: str) -> tuple[Any, Any]:
    """Features and classes; random ones of the size of MNIST's for the wide models, of 32 x 32 pixels for images."""
    import numpy as np

    random = np.random.default_rng(0)
    if model == "images":
        return random.random((2000, 1024), np.float32), random.permutation(np.arange(2000) % 10)
    if SHAPES[model] == 28:
        return random.random((8000, 784), np.float32), random.permutation(np.arange(8000) % 10)
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        return random.integers(0, 17, (1797, 64)).astype(np.float32), random.permutation(np.arange(1797) % 10)
    found = load_digits()
    return found.data.astype(np.float32), found.target


def engine(case: str, width: int | None, threads: int | None, memory_mb: int | None, checked: int) -> dict[str, Any]:
    import numpy as np

    model, _, rest = case.partition(":")
    count, _, epochs = rest.partition(":")
    overrides, batch, _ = MODELS[model]
    from kexp import fused, training
    from kexp.config import compose, plain
    from kexp.data.inference import arrays
    from kexp.data.sources.builtin import digits
    from kexp.experiment import prepare
    from kexp.fused.inputs.config_numbers import with_numbers
    from kexp.schema import check

    if SHAPES[model] == 8 and find_spec("sklearn"):
        data = digits()
    else:
        data = arrays(*rows_of(model), image_shape=(SHAPES[model], SHAPES[model], 1))
    base = check(
        plain(
            compose(
                ["backend=jax", "tracking=none", "data=random", f"trainer.batch_size={batch}",
                 f"trainer.epochs={epochs or 20}", f"fused.memory_limit_mb={memory_mb or 'null'}", *overrides]
            )
        )
    )  # fmt: skip
    training.own_process()  # as an engine's process is
    training.prepare_backend("jax")
    trials = [
        fused.Trial(i, prepare(with_numbers(base, {("optimizer", "learning_rate"): float(rate)}), data))
        for i, rate in enumerate(np.logspace(-4, -2, int(count)))
    ]
    started = time.perf_counter()
    planned = fused.plan(trials, width=width)
    plan_s = time.perf_counter() - started
    best, done, first, first_count, executor = 0.0, 0, 0.0, 0, ""
    results: list[fused.LaneResult] = []
    import jax

    lanes = planned.groups[0].width * (threads or fused.default_threads())
    for result in fused.run_trials(trials, planned=planned, threads=threads):
        assert isinstance(result, fused.LaneResult), result.reason
        done += 1
        executor = result.executor
        if checked:
            results.append(result)
        best = max(best, result.test.get("accuracy", 0.0))
        if done == min(lanes, len(trials)):
            first, first_count = time.perf_counter(), done
    last = time.perf_counter()
    steady = (last - first) / (done - first_count) if done > first_count else (last - started) / done
    splits = trials[0].prepared.splits
    return {
        "trials": done, "plan_s": plan_s, "steady_trial_s": steady, "best_accuracy": best, "executor": executor,
        "memory_mb": memory(), "device": jax.devices()[0].device_kind, "device_mb": device_memory(jax.devices()[0]),
        "rows": len(splits.train), "held": len(splits.validation or ()),
        "unequal": fused.verify(results, checked) if checked else [],
    }  # fmt: skip


def loop(model: str, trials: int, epochs: int) -> dict[str, Any]:
    """What a person writes by hand."""
    import keras
    import numpy as np

    _, batch, _ = MODELS[model]
    x, y = rows_of(model)
    order = np.random.default_rng(1).permutation(len(x))
    x, y = x[order], y[order]
    test, held = round(0.2 * len(x)), round(0.16 * len(x))
    times = []
    for number in range(trials + 1):
        started = time.perf_counter()
        keras.utils.set_random_seed(0)
        net = keras.Sequential([keras.layers.InputLayer(shape=x.shape[1:]), *by_hand(keras, model)])
        rate = 10 ** (-4 + 2 * number / max(1, trials))
        net.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        net.fit(
            x[test + held :], y[test + held :], batch_size=batch, epochs=epochs if number else 1, verbose=0,
            validation_data=(x[test : test + held], y[test : test + held]),
        )  # fmt: skip
        net.evaluate(x[:test], y[:test], verbose=0)
        times.append(time.perf_counter() - started)
    return {"trial_s": sum(times[1:]) / trials}


def by_hand(keras: Any, model: str) -> list[Any]:
    layers = keras.layers
    head = layers.Dense(10, activation="softmax")
    if model == "lstm":
        return [layers.Reshape((8, 8)), layers.LSTM(32), head]
    if model in ("cnn", "images"):
        side, first, second = (8, 16, 32) if model == "cnn" else (32, 32, 64)
        convolutions = [layers.Conv2D(first, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
        convolutions += [layers.Conv2D(second, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
        return [layers.Reshape((side, side, 1)), *convolutions, layers.Flatten(), head]
    _, _, shape = MODELS[model]
    assert shape is not None
    return [layers.Dense(shape[1], activation="relu"), head]


def work(model: str, rows: int, held: int, epochs: int) -> float:
    """Floating-point operations of a trial's matrix products: 2 forward; 4 back, less the first layer's input."""
    shape = MODELS[model][2]
    assert shape is not None
    products = [a * b for a, b in pairwise(shape)]
    training = sum(6 * each for each in products) - 2 * products[0]
    return float(epochs * (rows * training + held * sum(2 * each for each in products)))


def gemm_rate(model: str, seconds: float = 1.0) -> float:
    """Operations a second of the forward products at the model's shapes, on all cores at once."""
    import numpy as np

    _, batch, shape = MODELS[model]
    assert shape is not None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pairs = [(np.ones((batch, a), np.float32), np.ones((a, b), np.float32)) for a, b in pairwise(shape)]
    done = [0.0] * cores

    def run(core: int) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for _ in range(50):
                for a, b in pairs:
                    a @ b
            done[core] += 50 * sum(2 * a.shape[0] * b.size for a, b in pairs)

    threads = [threading.Thread(target=run, args=(core,)) for core in range(cores)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sum(done) / seconds


def memory() -> float:
    """The process's peak resident memory in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def device_memory(device: Any) -> float | None:
    """The most that was in use of a device's own memory in MB; None for a CPU."""
    found = device.memory_stats()
    return found["peak_bytes_in_use"] / 2**20 if found else None


def machine() -> dict[str, Any]:
    versions = {}
    for package in ("keras", "jax", "jaxlib", "tensorflow", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
        **versions,
    }


if __name__ == "__main__":
    main()

"""`hydra/launcher=auto` against the better of `fused` and `processes`: whole sweeps as processes, side by side.

    python benchmarks/auto_launcher.py                        # all workloads, many minutes
    python benchmarks/auto_launcher.py --cases few,cnn        # some of them
    python benchmarks/auto_launcher.py --launchers fused      # some launchers
    python benchmarks/auto_launcher.py --json                 # one line of JSON at the end

Start, imports, planning, tracking and the report are on the clock; no models are saved, for that is the same work on
each launcher. Each sweep has a folder, a store and, with `--cache cold`, a compile cache of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

SMALL = ["model.hidden=[32]", "trainer.epochs=20"]
WIDE = ["data=random", "data.rows=8000", "data.features=784", "data.classes=10", "trainer.batch_size=256"]
# What cannot be a lane: a callback that works on the whole model.
KEEPS = "callbacks.kept={name: model_checkpoint, filepath: best.keras}"
# Two wide convolutions on 32 x 32: work for a CPU's fast routines.
IMAGES = (
    "{name: Reshape, target_shape: [32, 32, 1]}, {name: Conv2D, filters: 32, kernel_size: 3, activation: relu}, "
    "{name: MaxPooling2D}, {name: Conv2D, filters: 64, kernel_size: 3, activation: relu}, {name: MaxPooling2D}, "
    "{name: Flatten}, {name: Dense, units: 10, activation: softmax}"
)
CASES = {
    "many": [*SMALL, "optimizer.learning_rate=1e-3,1e-2", "seed=range(20)"],
    "few": [*SMALL, "seed=range(2)"],
    "shapes": ["trainer.epochs=20", f"model.hidden={','.join(f'[{8 * n}]' for n in range(1, 13))}"],
    "cnn": ["model=cnn", "model.filters=[16,32]", "trainer.epochs=10", "seed=range(8)"],
    "lstm": ["model=lstm", "model.units=[32]", "trainer.epochs=10", "seed=range(8)"],
    "wide": [*WIDE, "model.hidden=[1024]", "trainer.epochs=5", "seed=range(12)"],
    "unfusable": [*SMALL, f"+{KEEPS}", "seed=range(8)"],
    "images": [
        *("data=random", "data.rows=2000", "data.features=1024", "data.classes=10", f"model.layers=[{IMAGES}]"),
        *("model=sequential", "trainer.epochs=4", "trainer.batch_size=64", "seed=range(8)"),
    ],
}  # fmt: skip
LAUNCHERS = ("fused", "processes", "auto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--launchers", default=",".join(LAUNCHERS), help=f"of {', '.join(LAUNCHERS)}")
    parser.add_argument("--cache", choices=("warm", "cold"), default="warm", help="JAX's compile cache")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    cases, launchers = given.cases.split(","), given.launchers.split(",")
    unknown = (set(cases) - set(CASES)) | (set(launchers) - set(LAUNCHERS))
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    rows = []
    print(f"{'':<12}" + "".join(f"{name:>12}" for name in launchers) + f"{'auto/best':>12}  auto chose")
    for case in cases:
        row: dict[str, Any] = {"case": case}
        if given.cache == "warm":
            sweep("fused", [*CASES[case], "trainer.epochs=1"])
        for launcher in launchers:
            row[launcher], told = sweep(launcher, CASES[case])
            if launcher == "auto":
                row["chose"] = told
        others = [row[name] for name in ("fused", "processes") if name in row]
        row["ratio"] = row["auto"] / min(others) if "auto" in row and others else None
        rows.append(row)
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        times = "".join(f"{row[name]:>10.1f} s" for name in launchers)
        print(f"{case:<12}{times}{ratio:>12}  {row.get('chose', '')}", flush=True)
    if given.json:
        print(json.dumps({"rows": rows, "cache": given.cache, "machine": machine()}))


def sweep(launcher: str, overrides: list[str]) -> tuple[float, str]:
    """Seconds of a whole sweep, and what its closing lines say of the choice."""
    command = [sys.executable, "-m", "kexp", "-m", f"hydra/launcher={launcher}", "save.keep=none", *overrides]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return seconds, "; ".join(line[9:] for line in done.stdout.splitlines() if line.startswith("auto "))


def machine() -> dict[str, Any]:
    versions = {}
    for package in ("kexp", "keras", "tensorflow", "jax", "mlflow", "numpy"):
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

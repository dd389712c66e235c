"""What serving raw rows costs: an MLflow model of a run against Keras on encoded rows, and a server's start and answer.

    python benchmarks/serving.py [--environment]

`--environment` also makes a virtual environment of the model's requirements, which downloads them, and serves from it.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def table(rows: int) -> pd.DataFrame:
    """20 columns as tables have them, and a target."""
    random = np.random.default_rng(0)
    columns: dict[str, Any] = {f"number_{index}": random.normal(size=rows).round(3) for index in range(8)}
    columns |= {f"count_{index}": random.integers(0, 90, rows) for index in range(4)}
    columns |= {f"name_{index}": random.choice([f"kind {each}" for each in range(8)], rows) for index in range(5)}
    days = pd.Timestamp("2015-01-01") + pd.to_timedelta(random.integers(0, 3000, rows), unit="D")
    columns |= {"day": days.strftime("%Y-%m-%d"), "flag": random.choice([True, False], rows)}
    columns["gap"] = np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows))
    return pd.DataFrame({**columns, "target": np.where(columns["number_0"] > 0, "yes", "no")})


def best_s(call: Callable[[], Any], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def served(folder: Path) -> Path:
    """The folder of the MLflow model of a short run."""
    import kexp
    from kexp.tracking.store.client import client_for

    table(5000).to_csv(folder / "table.csv", index=False)
    overrides = ["data=csv", "data.path=table.csv", "data.target=target", "trainer.epochs=1", "trainer.verbose=0"]
    run = client_for(f"sqlite:///{folder / 'mlflow.db'}").get_run(kexp.run(overrides, folder="run").run_id)
    found = client_for(f"sqlite:///{folder / 'mlflow.db'}").get_logged_model(run.outputs.model_outputs[0].model_id)
    return Path(found.artifact_location)


def compare(model: Path) -> None:
    import mlflow.pyfunc

    loaded = mlflow.pyfunc.load_model(str(model))
    raw = loaded._model_impl
    print(f"{'rows':>8}  {'pyfunc':>10}  {'Keras':>10}  {'times':>6}   Keras: predict(encoded, batch_size=1024)")
    for rows, repeats in ((1, 50), (1000, 20), (100_000, 5)):
        frame = table(rows).drop(columns="target")
        encoded = raw.features(frame)[0]
        ours = best_s(lambda frame=frame: loaded.predict(frame), repeats)
        keras = best_s(lambda x=encoded: raw.model.predict(x, batch_size=1024, verbose=0), repeats)
        print(f"{rows:>8}  {ours * 1e3:>7.1f} ms  {keras * 1e3:>7.1f} ms  {ours / keras:>6.2f}")


def serve(model: Path, python: str, folder: Path) -> None:
    """How long a server takes from its start to an answer, and an answer thereafter."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    body = (model / "serving_input_example.json").read_bytes()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}, method="POST"
    )
    command = [python, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local", "-p", str(port)]
    began = time.perf_counter()
    (folder / "uvicorn").write_text(f'#!/bin/sh\nexec {python} -m uvicorn "$@"\n')  # MLflow calls it by its name
    (folder / "uvicorn").chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while True:
            try:
                urllib.request.urlopen(request, timeout=60).read()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        print(f"server: first answer after {time.perf_counter() - began:.1f} s")
        answer = best_s(lambda: urllib.request.urlopen(request, timeout=60).read(), 30)
        print(f"server: an answer to a request of 3 rows {answer * 1e3:.1f} ms")
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def runs(folder: Path, repeats: int = 4) -> None:
    """What a run takes as a whole process, with its MLflow model and without it, in turns."""
    ways: dict[str, tuple[list[str], list[float]]] = {"with": ([], []), "without": (["save.model=false"], [])}
    common = ["data=csv", "data.path=table.csv", "data.target=target", "trainer.epochs=5", "trainer.verbose=0"]
    for turn in range(repeats + 1):
        for more, times in ways.values():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "kexp", *common, *more], cwd=folder, check=True, capture_output=True)
            if turn:  # the first reads the table
                times.append(time.perf_counter() - began)
    for name, (_, times) in ways.items():
        print(f"run {name} its MLflow model: median {statistics.median(times):.2f} s, least {min(times):.2f} s")


def environment(model: Path, folder: Path) -> str:
    """The Python of an environment that the model's requirements make."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(model / "requirements.txt")], check=True)
    size = sum(file.stat().st_size for file in (folder / "venv").rglob("*") if file.is_file())
    print(f"environment: {size / 1e9:.2f} GB, made in {time.perf_counter() - began:.0f} s")
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        model = served(folder)
        files = [file for file in model.rglob("*") if file.is_file()]
        print(f"model: {len(files)} files, {sum(file.stat().st_size for file in files) / 1e3:.0f} kB")
        compare(model)
        runs(folder)
        serve(model, sys.executable, folder)
        if given.environment:
            serve(model, environment(model, folder), folder)


if __name__ == "__main__":
    main()

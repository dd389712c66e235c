"""A large table, as whole processes side by side: read by pandas and trained by Keras by hand, and by kexp.

    python benchmarks/tables.py [--rows 1900000] [--repeats 1] [--json]

The table has nine columns: six of numbers, two of categories, and the target, a class of three. All train the same: an
MLP 64-32 on standardised numbers and one-hot categories, Adam, batch 4,096, 2 epochs. kexp also tracks it and saves it,
read back; the first of its runs finds no table in the cache. To reach: `feed=numpy` at most as long as by hand,
`feed=tfdata` at most 1.15 times.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BY_HAND = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import pandas as pd
keras.utils.set_random_seed(0)
table = pd.read_csv("table.csv")
y = pd.Categorical(table.pop("kind")).codes.astype("int64")
rows = table.sample(frac=1.0, random_state=0).index
test, train = rows[: len(rows) // 5], rows[len(rows) // 5 :]
numbers = table.select_dtypes("number")
fitted = numbers.loc[train]
parts = [(numbers - fitted.mean()) / fitted.std(), pd.get_dummies(table[["site", "maker"]])]
x = pd.concat(parts, axis=1).to_numpy("float32")
model = keras.Sequential([
    keras.Input((x.shape[1],)),
    keras.layers.Dense(64, activation="relu"),
    keras.layers.Dense(32, activation="relu"),
    keras.layers.Dense(3, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x[train], y[train], epochs=2, batch_size=4096, validation_split=0.2, verbose=0)
print("accuracy", model.evaluate(x[test], y[test], batch_size=4096, verbose=0)[1])
"""
KEXP = [
    *("data=csv", "data.path=table.csv", "data.target=kind", "trainer.batch_size=4096", "trainer.epochs=2"),
    *("model.hidden=[64,32]", "trainer.verbose=0"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_900_000)
    parser.add_argument("--repeats", type=int, default=1, help="how often each is run, in turn; the median counts")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kexp-tables-") as folder:
        size = write_table(Path(folder, "table.csv"), given.rows)
        print(f"{given.rows:,} rows, {size / 1e6:.0f} MB")
        contenders = {
            "by hand": [sys.executable, "-c", BY_HAND],
            "kexp, numpy, first": [sys.executable, "-m", "kexp", *KEXP],
            "kexp, numpy": [sys.executable, "-m", "kexp", *KEXP],
            "kexp, tfdata": [sys.executable, "-m", "kexp", *KEXP, "data.feed=tfdata"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for repeat in range(given.repeats):
            for name, command in contenders.items():
                # The first run of each repetition finds no table in the cache.
                taken, peak = timed(command, folder, Path(folder, f"cache-{repeat}"))
                seconds[name].append(taken)
                print(f"  {name:20} {taken:6.1f} s  {peak:,} MB", flush=True)
    hand = statistics.median(seconds["by hand"])
    ratios = {name: statistics.median(each) / hand for name, each in seconds.items()}
    for name, ratio in ratios.items():
        print(f"{name:20} {ratio:5.2f} times as long as by hand")
    if given.json:
        print(json.dumps({"rows": given.rows, "seconds": seconds, "ratios": ratios}))


def write_table(file: Path, rows: int) -> int:
    """The table, the same each time; its size in bytes."""
    random = np.random.default_rng(0)
    columns = [random.normal(0, 10**place, rows).round(2).astype(str) for place in range(3)]
    columns += [random.integers(0, 10 ** (place + 1), rows).astype(str) for place in range(3)]
    columns.append(np.array(["north", "south", "east", "west"])[random.integers(0, 4, rows)])
    columns.append(np.array([f"m{maker:02d}" for maker in range(20)])[random.integers(0, 20, rows)])
    columns.append(np.array(["ash", "birch", "cedar"])[random.integers(0, 3, rows)])
    with open(file, "w", encoding="utf-8") as out:
        out.write("a,b,c,d,e,f,site,maker,kind\n")
        for start in range(0, rows, 100_000):
            block = [column[start : start + 100_000].tolist() for column in columns]
            out.write("\n".join(map(",".join, zip(*block, strict=True))) + "\n")
    return file.stat().st_size


def timed(command: list[str], folder: str, cache: Path) -> tuple[float, int]:
    """Seconds of a whole process, and the most memory of it in MB."""
    environment = {**os.environ, "KEXP_CACHE": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        taken = time.perf_counter() - started
        if status:
            said.seek(0)
            raise SystemExit(said.read().decode(errors="replace"))
    return taken, used.ru_maxrss // 1024


if __name__ == "__main__":
    main()

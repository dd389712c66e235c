"""A large table, as whole processes side by side: read by pandas and trained by Keras by hand, and by kexp.

    python benchmarks/tables.py [--rows 1900000] [--repeats 1] [--json]
    python benchmarks/tables.py --measure epoch|memory|images [--rows 2000000] [--images 10000]

`epoch` compares an epoch from disk with one from memory, `memory` the most memory of a process at these rows and at ten
times as many (of its own, and with the pages of mapped files, which the system takes back when it needs them), `images`
an epoch over a folder of JPEG with one of `keras.utils.image_dataset_from_directory`.

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
from collections.abc import Callable
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
IMAGES_BY_HAND = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
keras.utils.set_random_seed(0)
train, validation = keras.utils.image_dataset_from_directory(
    "images", image_size=(64, 64), batch_size=32, validation_split=0.2, subset="both", seed=0, verbose=False
)
layers = keras.layers
model = keras.Sequential([
    keras.Input((64, 64, 3)),
    layers.Rescaling(1 / 255),
    layers.Conv2D(8, 3, activation="relu"),
    layers.MaxPooling2D(),
    layers.GlobalAveragePooling2D(),
    layers.Dense(4, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, validation_data=validation, epochs=int(sys.argv[1]), verbose=0)
"""
KEXP = [
    *("data=csv", "data.path=table.csv", "data.target=kind", "trainer.batch_size=4096", "trainer.epochs=2"),
    *("model.hidden=[64,32]", "trainer.verbose=0"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", choices=("whole", "epoch", "memory", "images"), default="whole")
    parser.add_argument("--rows", type=int, default=1_900_000)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=1, help="how often each is run, in turn; the median counts")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    if given.measure != "whole":
        with tempfile.TemporaryDirectory(prefix="kexp-tables-") as folder:
            {"epoch": epoch, "memory": memory, "images": images}[given.measure](folder, given)
        return
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


def epoch(folder: str, given: argparse.Namespace) -> None:
    """An epoch by either feed: what sixteen more of them take, of whole processes."""
    write_table(Path(folder, "table.csv"), given.rows)
    seconds = {}
    for feed in ("numpy", "tfdata"):
        seconds[feed] = of_an_epoch(
            folder, lambda epochs, feed=feed: kexp(f"data.feed={feed}", f"trainer.epochs={epochs}"), more=16
        )
        print(f"  {feed:20} {seconds[feed]:6.2f} s an epoch", flush=True)
    print(f"an epoch from disk takes {seconds['tfdata'] / seconds['numpy']:.2f} times one from memory")


def memory(folder: str, given: argparse.Namespace) -> None:
    """The most memory of a run from disk, once the table is in the cache."""
    own = []
    for rows in (given.rows, 10 * given.rows):
        write_table(Path(folder, "table.csv"), rows)
        command = kexp("data.feed=tfdata", "trainer.epochs=1")
        for _ in range(2):
            watch = OwnMemory()
            taken, peak = timed(command, folder, Path(folder, "cache"), watch)
        own.append(watch.peak_mb)
        print(f"  {rows:>12,} rows {taken:6.1f} s  {watch.peak_mb:,} MB, {peak:,} MB with mapped files", flush=True)
    print(f"ten times as many rows take {own[1] / own[0]:.2f} times the memory, mapped files left out")


def images(folder: str, given: argparse.Namespace) -> None:
    """An epoch over JPEG images of 64 x 64, a small CNN."""
    from PIL import Image

    random = np.random.default_rng(0)
    for place in range(given.images):
        room = Path(folder, "images", f"class-{place % 4}")
        room.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 200, (8, 8, 3)).astype("uint8")
        Image.fromarray(pixels).resize((64, 64)).save(room / f"{place:06}.jpg")
    layers = "[{name: Conv2D, filters: 8, kernel_size: 3, activation: relu}, MaxPooling2D, GlobalAveragePooling2D]"
    ours = ["data=image_folder", "data.path=images", "data.image_size=64", "data.feed=tfdata", "model=sequential"]
    ours += [f"model.layers={layers}", "trainer.verbose=0", "data.test_split=0"]
    seconds = {
        "by hand": of_an_epoch(folder, lambda epochs: [sys.executable, "-c", IMAGES_BY_HAND, str(epochs)]),
        "kexp": of_an_epoch(folder, lambda epochs: [sys.executable, "-m", "kexp", *ours, f"trainer.epochs={epochs}"]),
    }
    for name, taken in seconds.items():
        print(f"  {name:20} {taken:6.2f} s an epoch")
    print(f"an epoch of kexp takes {seconds['kexp'] / seconds['by hand']:.2f} times one by hand")


def kexp(*overrides: str) -> list[str]:
    return [sys.executable, "-m", "kexp", *(each for each in KEXP if "epochs" not in each), *overrides]


def of_an_epoch(folder: str, command: Callable[[int], list[str]], more: int = 4) -> float:
    """Seconds of an epoch: what some more of them take."""
    few, many = (timed(command(epochs), folder, Path(folder, "cache"))[0] for epochs in (2, 2 + more))
    return (many - few) / more


def write_table(file: Path, rows: int) -> int:
    """The table, the same each time; its size in bytes. DuckDB writes it: twenty million rows take seconds."""
    import duckdb

    drawn = [f"(hash(9 * row + {place}) % 1000003) / 1000003" for place in range(9)]
    numbers = [
        f"round((sqrt(-2 * ln({drawn[k]} + 1e-9)) * cos(6.283 * {drawn[k + 3]})) * {10**k}, 2)" for k in range(3)
    ]
    counts = [f"floor({drawn[k + 3]} * {10 ** (k + 1)})::int" for k in range(3)]
    names = [
        f"['north', 'south', 'east', 'west'][1 + floor({drawn[6]} * 4)::int]",
        f"'m' || lpad(floor({drawn[7]} * 20)::int::varchar, 2, '0')",
        f"['ash', 'birch', 'cedar'][1 + floor({drawn[8]} * 3)::int]",
    ]
    columns = zip([*numbers, *counts, *names], [*"abcdef", "site", "maker", "kind"], strict=True)
    chosen = ", ".join(f"{made} as {name}" for made, name in columns)
    duckdb.execute(f"copy (select {chosen} from range({rows}) as t(row)) to '{file}' (header, delimiter ',')")
    return file.stat().st_size


class OwnMemory:
    """The most memory of a process that is not a page of a file, as Linux tells it; looked at every 20 ms."""

    def __init__(self) -> None:
        self.peak_mb = 0

    def follow(self, pid: int) -> None:
        """Looks until the process is gone."""
        status = Path(f"/proc/{pid}/status")
        while found := [line for line in status.read_text().splitlines() if line.startswith("RssAnon")]:
            self.peak_mb = max(self.peak_mb, int(found[0].split()[1]) // 1024)
            time.sleep(0.02)


def timed(command: list[str], folder: str, cache: Path, watch: OwnMemory | None = None) -> tuple[float, int]:
    """Seconds of a whole process, and the most memory of it in MB."""
    environment = {**os.environ, "KEXP_CACHE": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        if watch is not None:
            watch.follow(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        taken = time.perf_counter() - started
        if status:
            said.seek(0)
            raise SystemExit(said.read().decode(errors="replace"))
    return taken, used.ru_maxrss // 1024


if __name__ == "__main__":
    main()

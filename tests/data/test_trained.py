"""Each kind of data that people bring, trained: what is learned, and the same by either feed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kexp
from kexp.data.sources import keras_sets, keras_sets_child

SMALL = ("tracking.enabled=false", "save.formats=[]", "save.model=false", "trainer.verbose=0")


def trained(folder: Path, *overrides: str) -> dict[str, float]:
    return kexp.run([*SMALL, *overrides], folder=folder / "run").metrics


def made(shape: tuple[int, ...], classes: int, rows: int = 40) -> Any:
    """What `load_data` gives: bytes of images, and a class each."""
    random = np.random.default_rng(0)
    y = (np.arange(rows) % classes).astype(np.uint8)
    return random.integers(0, 256, (rows, *shape)).astype(np.uint8), y[:, None] if len(shape) == 3 else y


def words(rows: int = 60, classes: int = 2) -> Any:
    """Numbers of words, of which one is that of the class."""
    random = np.random.default_rng(0)
    y = np.arange(rows) % classes
    return np.array([[1, 4 + kind, *random.integers(10, 20, 3 + kind % 2)] for kind in y], dtype=object), y


def houses(rows: int = 60) -> Any:
    x = np.random.default_rng(0).normal(size=(rows, 8)).astype(np.float32)
    return x, x[:, 0] * 1e5 + 2e5


EMBEDDED = "model.layers=[{name: Embedding, input_dim: 30, output_dim: 8}, GlobalAveragePooling1D]"
SETS: dict[str, tuple[Any, list[str]]] = {
    "mnist": (made((28, 28), 10), ["model=cnn", "model.filters=[4]"]),
    "fashion_mnist": (made((28, 28), 10), ["model.hidden=[8]"]),
    "cifar10": (made((32, 32, 3), 10), ["model=cnn", "model.filters=[4]"]),
    "cifar100": (
        made((32, 32, 3), 4),
        ["model=sequential", "model.layers=[{name: Conv2D, filters: 4, kernel_size: 3}, GlobalAveragePooling2D]"],
    ),
    "imdb": (words(), ["model=text", "data.words=30", "data.length=8"]),
    "reuters": (words(classes=3), ["model=sequential", EMBEDDED, "data.words=30", "data.length=8"]),
    "california_housing": (houses(), ["model.hidden=[8]"]),
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_of_keras_trains(name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEXP_CACHE", str(workplace / "cache"))
    part, overrides = SETS[name]
    ragged = part[0].dtype == object
    module = importlib.import_module(f"keras.datasets.{name}")
    monkeypatch.setattr(module, "load_data", lambda **_: (part, part))

    def in_this_process(name: str, options: dict[str, int], file: Path, home: str) -> None:
        file.parent.mkdir(parents=True)
        np.savez(file, **keras_sets_child.load(name, **options))

    monkeypatch.setattr(keras_sets, "_load_in_child", in_this_process)
    metrics = trained(workplace, f"data={name}", "trainer.epochs=1", *overrides)
    assert np.isfinite(metrics["test_loss"])
    assert ragged == ("data.words=30" in overrides)


SENTENCES = {
    "good": ["what a lovely film", "I would see it again", "warm, funny and bright", "the best evening in years"],
    "bad": ["what a dull film", "I left before the end", "cold, slow and loud", "the worst evening in years"],
}
ENDS = ["by far", "I thought", "said my friend", "to be honest", "and we talked about it", "on Sunday"]


def reviews(folder: Path) -> Path:
    random = np.random.default_rng(0)
    kinds = np.array(["good", "bad"])[np.arange(160) % 2]
    texts = [
        f"{random.choice(SENTENCES[kind])}, {random.choice(ENDS)}: {random.choice(SENTENCES[kind])}" for kind in kinds
    ]
    pd.DataFrame({"review": texts, "verdict": kinds}).to_csv(folder / "reviews.csv", index=False)
    return folder / "reviews.csv"


def leaves(folder: Path) -> Path:
    from PIL import Image

    random = np.random.default_rng(0)
    for place in range(40):
        room = folder / "leaves" / ("ash" if place % 2 else "birch")
        room.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 120, (12, 12, 3)) + (120 if place % 2 else 0)
        Image.fromarray(pixels.astype("uint8")).save(room / f"{place:02}.png")
    return folder / "leaves"


def sales(folder: Path) -> Path:
    day = np.arange(120)
    frames = [
        pd.DataFrame({"shop": shop, "day": day, "sold": 20 + 10 * np.sin(day / 7 + start)})
        for start, shop in enumerate("ab")
    ]
    pd.concat(frames).to_csv(folder / "sales.csv", index=False)
    return folder / "sales.csv"


def overrides_of(kind: str, folder: Path) -> list[str]:
    if kind == "text":
        given = ["data=text", f"data.path={reviews(folder)}", "data.target=verdict", "data.length=16", "model=text"]
        return [*given, "optimizer=adam", "optimizer.learning_rate=0.02", "trainer.epochs=8"]
    if kind == "images":
        return ["data=image_folder", f"data.path={leaves(folder)}", "data.image_size=12", "trainer.epochs=6"]
    given = ["data=series", f"data.path={sales(folder)}", "data.target=sold", "data.time=day", "data.group=shop"]
    return [
        *given,
        "data.window=8",
        "data.horizon=2",
        "optimizer=adam",
        "optimizer.learning_rate=0.02",
        "trainer.epochs=40",
    ]


@pytest.mark.parametrize("kind", ["text", "images", "series"])
def test_what_is_brought_is_learned_and_either_feed_gives_the_same(kind: str, workplace: Path) -> None:
    given = overrides_of(kind, workplace)
    found = trained(workplace, *given)
    if kind == "series":
        assert found["test_mean_absolute_error"] < 4  # the mean is 6.4 away on average
    else:
        assert found["test_accuracy"] > 0.9  # of two classes, as many rows each
    other = kexp.run([*SMALL, *given, "data.feed=tfdata"], folder=workplace / "other").metrics
    assert other == pytest.approx(found, rel=1e-4, abs=1e-5)

"""Data sets of Keras, read by its own code from its cache; a sentence where there is neither cache nor network."""

from __future__ import annotations

import gzip
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kexp.data import split
from kexp.data.sources import keras_sets, keras_sets_child
from kexp.errors import DataError


@pytest.fixture(autouse=True)
def _homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KEXP_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy"):  # nothing is reached by way of this address
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def test_images_are_those_of_the_files_in_kerass_cache(tmp_path: Path, random: np.random.Generator) -> None:
    folder = tmp_path / "keras" / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    wanted = {}
    for part, count in (("train", 30), ("t10k", 10)):
        images = random.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + images.tobytes()))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + labels.tobytes()))
        wanted[part] = images, labels
    data = keras_sets.fashion_mnist()
    splits = split(data)
    assert splits.test is not None and splits.validation is not None
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (20, 10, 10)  # one of each class at least
    x, y = splits.test.arrays()
    assert np.array_equal(x, wanted["t10k"][0].reshape(10, -1).astype(np.float32) / 255)
    assert np.array_equal(y, wanted["t10k"][1])
    assert (
        data.spec.image_shape == (28, 28, 1) and data.spec.classes is not None and data.spec.classes[9] == "ankle boot"
    )
    for file in folder.iterdir():
        file.unlink()
    assert keras_sets.fashion_mnist().digest == data.digest  # read from our cache


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_texts_are_padded_numbers_of_words(
    name: str, tmp_path: Path, random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = np.array([random.integers(1, 40, size).tolist() for size in random.integers(2, 12, 30)], dtype=object)
    labels = np.arange(30) % 2
    file = tmp_path / f"{name}.npz"
    whole = {"x": texts, "y": labels}
    parts = {f"{which}_{part}": values for part in ("train", "test") for which, values in whole.items()}
    np.savez(file, **(parts if name == "imdb" else whole))
    module = importlib.import_module(f"keras.src.datasets.{name}")
    monkeypatch.setattr(module, "get_file", lambda *_, **__: str(file))  # else its digest is that of the whole file
    found = keras_sets_child.load(name, words=20, length=6)
    (x, y), (x_test, y_test) = module.load_data(num_words=20)
    assert found["x_train"].shape == (len(x), 6) and found["x_train"].max() < 20
    for row, text in zip(found["x_train"], x, strict=True):
        assert row.tolist() == ([0] * 6 + list(text))[-6:]
    assert np.array_equal(found["y_train"], y) and np.array_equal(found["y_test"], y_test)
    assert len(found["x_test"]) == len(x_test)


def test_a_set_that_is_nowhere_is_told_in_a_sentence() -> None:
    with pytest.raises(DataError, match=r"data=mnist: is not in Keras' cache \(.*\), and cannot be downloaded: "):
        keras_sets.mnist()
    command = [sys.executable, "-m", "kexp", "data=california_housing", "trainer.epochs=1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and ended.stdout == ""
    assert len(ended.stderr.strip().splitlines()) == 1 and ended.stderr.startswith("kexp: data=california_housing: is")


@pytest.mark.parametrize(("given", "told"), [({"words": 3}, "data.words: .* 4"), ({"length": 0}, "data.length: .* 1")])
def test_sizes_of_texts_are_checked_before_anything_is_loaded(given: dict[str, int], told: str) -> None:
    with pytest.raises(DataError, match=told):
        keras_sets.imdb(**given)

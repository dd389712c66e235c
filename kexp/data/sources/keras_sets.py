"""Keras' data sets, from its cache or downloaded, without importing Keras in this process.

A child process runs `keras.datasets` and writes plain arrays to kexp's cache. Later runs read those arrays.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import DataError
from kexp.system.folders import cache_folder

if TYPE_CHECKING:
    from kexp.data.source import Data

__all__ = ["california_housing", "cifar10", "cifar100", "fashion_mnist", "imdb", "mnist", "reuters"]

GARMENTS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def mnist() -> Data:
    """Handwritten digits: 60,000 images of 28 x 28 to train on and 10,000 to test on, grey levels from 0 to 1."""
    return _images("mnist", None, (28, 28, 1))


def fashion_mnist() -> Data:
    """Garments: 60,000 images of 28 x 28 to train on and 10,000 to test on, grey levels from 0 to 1, 10 classes."""
    return _images("fashion_mnist", GARMENTS, (28, 28, 1))


def cifar10() -> Data:
    """Photographs: 50,000 images of 32 x 32 x 3 to train on and 10,000 to test on, colours from 0 to 1, 10 classes."""
    return _images("cifar10", THINGS, (32, 32, 3))


def cifar100() -> Data:
    """Photographs: 50,000 images of 32 x 32 x 3 to train on and 10,000 to test on, colours from 0 to 1, 100 classes."""
    return _images("cifar100", None, (32, 32, 3))


def imdb(words: int = 10000, length: int = 200) -> Data:
    """Film reviews as word indices: 25,000 to train on and 25,000 to test on, negative or positive.

    Args:
        words: size of the vocabulary: the most frequent words; all others share one index; > 3.
        length: words of a review: the last words of longer ones; shorter ones are padded with 0 in front; > 0.
    """
    return _tokens("imdb", ("negative", "positive"), words, length)


def reuters(words: int = 10000, length: int = 200) -> Data:
    """News as word indices: 11,228 texts in 46 topics, a fifth of them to test on.

    Args:
        words: size of the vocabulary: the most frequent words; all others share one index; > 3.
        length: words of a text: the last words of longer ones; shorter ones are padded with 0 in front; > 0.
    """
    return _tokens("reuters", None, words, length)


def california_housing() -> Data:
    """Districts of California: 20,640 rows of 8 numbers; regression of the price of a house in dollars."""
    return _data("california_housing", _loaded("california_housing", {}))


def _images(name: str, classes: tuple[str, ...] | None, shape: tuple[int, int, int]) -> Data:
    arrays = _loaded(name, {})
    for part in ("x_train", "x_test"):
        arrays[part] = arrays[part].reshape(len(arrays[part]), -1).astype("float32") / 255
    return _data(name, arrays, classes=classes, image_shape=shape)


def _tokens(name: str, classes: tuple[str, ...] | None, words: int, length: int) -> Data:
    for key, value, least in (("words", words, 4), ("length", length, 1)):
        if value < least:
            raise DataError(f"data.{key}: must be at least {least}, got {value!r}")
    data = _data(name, _loaded(name, {"words": words, "length": length}), classes=classes)
    return replace(data, spec=replace(data.spec, words=words))


def _data(name: str, loaded: dict[str, Any], **options: Any) -> Data:
    import numpy as np

    from kexp.data.inference import arrays
    from kexp.data.source import consecutive

    parts = ("train", "test")
    x, y = (np.concatenate([loaded[f"{which}_{part}"] for part in parts]) for which in "xy")
    splits = consecutive({part: len(loaded[f"x_{part}"]) for part in parts})
    return arrays(x, y, task="regression" if name == "california_housing" else None, splits=splits, **options)


def _loaded(name: str, options: dict[str, int]) -> dict[str, Any]:
    """Return the arrays x_train, y_train, x_test and y_test.

    Raises:
        DataError: the data set is not in Keras' cache and cannot be downloaded.
    """
    import numpy as np

    home = os.environ.get("KERAS_HOME", str(Path.home() / ".keras"))
    identity = "|".join([version("keras"), home, name, *(f"{key}={value}" for key, value in options.items())])
    file = cache_folder() / "keras_sets" / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.npz"
    if not file.is_file():
        _load_in_child(name, options, file, home)
    with np.load(file, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _load_in_child(name: str, options: dict[str, int], file: Path, home: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_name(f".{os.getpid()}-{file.name}")
    command = [sys.executable, "-m", "kexp.data.sources.keras_sets_child", name, str(temporary)]
    command += [f"{key}={value}" for key, value in options.items()]
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    try:
        child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if child.returncode:
            reason = (child.stderr.strip().splitlines() or ["no reason was given"])[-1]
            raise DataError(
                f"data={name}: is not in Keras' cache ({Path(home) / 'datasets'}), and cannot be downloaded: {reason}"
            )
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kexp.persistence import Format, save_model
from kexp.persistence.formats.h5 import h5
from kexp.persistence.formats.json_format import json_format
from kexp.persistence.formats.keras_format import keras_format
from kexp.persistence.formats.saved_model import saved_model
from kexp.persistence.formats.tf_checkpoint import tf_checkpoint
from kexp.persistence.formats.weights import weights
from kexp.persistence.formats.yaml_format import yaml_format

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray


@pytest.fixture(scope="session")
def formats() -> dict[str, Format]:
    """Every format that needs no optional package."""
    return {
        "h5": h5(),
        "weights": weights(),
        "json": json_format(),
        "yaml": yaml_format(),
        "keras": keras_format(),
        "tf_checkpoint": tf_checkpoint(),
        "saved_model": saved_model(),
    }


@pytest.fixture(scope="session")
def probe() -> NDArray[Any]:
    import numpy as np

    return np.random.default_rng().normal(3.0, 2.0, (16, 5)).astype("float32")


@pytest.fixture(scope="session")
def model(probe: NDArray[Any]) -> keras.Model:
    """A trained model with everything that is easily lost: adapted constants, moving averages, an optimizer's state."""
    import keras
    import numpy as np

    built = keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Normalization(),
            keras.layers.Dense(7, activation="relu", name="first", kernel_regularizer=keras.regularizers.L2(1e-4)),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3, activation="softmax"),
        ],
        name="net",
    )
    built.layers[0].adapt(probe)
    built.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    built.fit(probe, np.arange(16) % 3, epochs=2, verbose=0)
    return built


@pytest.fixture(scope="session")
def saved_once(
    tmp_path_factory: pytest.TempPathFactory, model: keras.Model, formats: dict[str, Format], probe: NDArray[Any]
) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save_model(model, folder, {name: formats[name] for name in ("h5", "weights", "json", "yaml", "keras")}, probe)
    return folder


@pytest.fixture
def saved(tmp_path: Path, saved_once: Path) -> Path:
    """A folder of its own with the model in each format that can be loaded without trust."""
    return shutil.copytree(saved_once, tmp_path / "saved")

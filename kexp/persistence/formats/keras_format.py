"""The format `keras`: Keras' own file format."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.persistence.format import Format

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = ["keras_format"]


def keras_format() -> Format:
    """The whole model in Keras' own format: architecture, weights, optimizer and compile settings (model.keras)."""
    return _Keras()


class _Keras:
    filename = "model.keras"
    carries = "model"

    def save(self, model: keras.Model, path: Path) -> None:
        model.save(path)

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> keras.Model:
        import keras

        return keras.saving.load_model(path, compile=False, safe_mode=True)

    def optimizer_values(self, path: Path) -> list[NDArray[Any]]:
        import h5py

        with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
            # A wrapping optimizer (loss scaling) lists the variables of the wrapped optimizer here, too.
            stored = file.get("optimizer/vars", {})
            return [stored[str(index)][()] for index in range(len(stored))]

"""The format `weights`, which stores only the weights, as HDF5."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.errors import LoadError
from kexp.persistence.format import Format
from kexp.persistence.hdf5_tree import difference, read_tree

if TYPE_CHECKING:
    import keras

__all__ = ["weights"]


def weights() -> Format:
    """The weights alone in one HDF5 file (model.weights.h5); loading needs the architecture."""
    return _Weights()


class _Weights:
    filename = "model.weights.h5"
    carries = "weights"

    def save(self, model: keras.Model, path: Path) -> None:
        path.write_bytes(_serialised(model).getbuffer())

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> keras.Model:
        model = architecture()
        model.load_weights(path)
        # Keras silently skips weights that do not fit this architecture.
        problem = difference(read_tree(path, skip="optimizer"), read_tree(_serialised(model), skip="optimizer"))
        if problem:
            raise LoadError(f"{path} is not of this architecture: {problem}")
        return model


def _serialised(model: keras.Model) -> io.BytesIO:
    """Returns the content of the file, written in memory for the reason in h5.py."""
    try:
        from keras.src.saving.saving_lib import H5IOStore, _save_state
    except ImportError:  # a private module, which may move; the public function writes the same
        with tempfile.TemporaryDirectory() as scratch:
            model.save_weights(path := Path(scratch, "model.weights.h5"))
            return io.BytesIO(path.read_bytes())
    buffer = io.BytesIO()
    store = H5IOStore(buffer, mode="w")
    try:
        _save_state(model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set())
    finally:
        store.close()
    return buffer

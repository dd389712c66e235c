"""Whole-model HDF5: architecture, weights and optimizer in one file."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.persistence.format import Format

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = ["h5"]


def h5() -> Format:
    """The whole model in one HDF5 file: architecture, weights and optimizer (model.h5)."""
    return _H5()


def _spell_out_loss(file: Any) -> None:
    """Replaces a short name of a loss ("mse") by the full one: Keras saves the short name but cannot load it."""
    import keras

    if "training_config" not in file.attrs:
        return
    config = json.loads(file.attrs["training_config"])
    if isinstance(config.get("loss"), str):
        try:
            found = keras.losses.get(config["loss"])
        except ValueError:  # a user's own function, which Keras finds by its name
            return
        config["loss"] = getattr(found, "__name__", config["loss"])
        file.attrs["training_config"] = json.dumps(config).encode()


@contextlib.contextmanager
def _compiled_as_before(model: keras.Model) -> Iterator[None]:
    """Restores the model's compile settings: Keras' HDF5 writer removes the optimizer from them, so that the next save
    would have none."""
    settings = getattr(getattr(model, "_compile_config", None), "config", None)
    before = dict(settings) if isinstance(settings, dict) else None
    try:
        yield
    finally:
        if before is not None:
            model._compile_config.config = before


class _H5:
    filename = "model.h5"
    carries = "model"

    def save(self, model: keras.Model, path: Path) -> None:
        import h5py

        try:
            from keras.src.legacy.saving.legacy_h5_format import save_model_to_hdf5
        except ImportError:  # a private module, which may move; the public function writes the same
            with _compiled_as_before(model):
                model.save(path)
            return
        # Written in memory first: h5py crashes the interpreter if a file on a full disk is closed at exit.
        buffer = io.BytesIO()
        with _compiled_as_before(model), h5py.File(buffer, "w") as file:
            save_model_to_hdf5(model, file)
            _spell_out_loss(file)
        path.write_bytes(buffer.getbuffer())

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> keras.Model:
        import keras

        return keras.saving.load_model(path, compile=False, safe_mode=True)

    def optimizer_values(self, path: Path) -> list[NDArray[Any]]:
        import h5py

        with h5py.File(path, "r") as file:
            group = file.get("optimizer_weights")
            return [] if group is None else [group[name][()] for name in group.attrs["weight_names"]]

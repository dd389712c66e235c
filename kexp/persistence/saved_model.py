"""The format `saved_model`: the predictions of a model as a TensorFlow SavedModel, for serving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.persistence.format import Format, Predictor

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["saved_model"]


def saved_model() -> Format:
    """The predictions alone as a TensorFlow SavedModel for serving (saved_model/)."""
    return _SavedModel()


class _SavedModel:
    filename = "saved_model"
    carries = "function"
    requires_backend = frozenset({"tensorflow", "jax"})

    def save(self, model: keras.Model, path: Path) -> None:
        model.export(path, format="tf_saved_model", verbose=False)

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> Predictor:
        import tensorflow as tf

        # The loaded object owns the variables that `serve` uses, so a reference to it must be kept.
        return _Served(tf.saved_model.load(str(path)))


class _Served:
    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.floating[Any]]:
        import numpy as np

        return np.asarray(self._loaded.serve(inputs))

"""The format `tf_checkpoint`: a model's variables as a TensorFlow checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.persistence.architecture import update_constants
from kexp.persistence.format import Format

if TYPE_CHECKING:
    import keras

__all__ = ["tf_checkpoint"]


def tf_checkpoint() -> Format:
    """The weights as a TensorFlow checkpoint (checkpoint/); backend=tensorflow only, loading needs the architecture."""
    return _Checkpoint()


class _Checkpoint:
    filename = "checkpoint"
    carries = "weights"
    requires_backend = frozenset({"tensorflow"})

    def save(self, model: keras.Model, path: Path) -> None:
        import tensorflow as tf

        path.mkdir()
        tf.train.Checkpoint(model=model).write(str(path / "model"))

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> keras.Model:
        import tensorflow as tf

        model = architecture()
        status = tf.train.Checkpoint(model=model).read(str(path / "model"))
        status.assert_existing_objects_matched().expect_partial()
        update_constants(model)
        return model

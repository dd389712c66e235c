"""Weights as a NumPy archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from kexp.persistence import Format

__all__ = ["npz"]


def npz() -> Format:
    """The weights alone as a NumPy archive (weights.npz): `weight_0`, `weight_1`, ... in the model's order."""
    return _Npz()


class _Npz:
    filename = "weights.npz"
    carries = "weights"

    def save(self, model: keras.Model, path: Path) -> None:
        import numpy as np

        with path.open("wb") as file:  # by name, NumPy would add an ending of its own
            np.savez(file, **{f"weight_{index}": values for index, values in enumerate(model.get_weights())})

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> keras.Model:
        import numpy as np

        from kexp.persistence import set_weights

        model = architecture()
        with np.load(path, allow_pickle=False) as stored:
            set_weights(model, [stored[f"weight_{index}"] for index in range(len(stored.files))])
        return model

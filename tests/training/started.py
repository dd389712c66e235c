"""Layers that own random weights, each built as an experiment builds them. A program too: it writes their weights.

python started.py jax weights.npz
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

SEED = 11

# Each layer's settings, and the shape of a batch.
LAYERS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "Dense": ({"units": 5}, (2, 4)),
    "EinsumDense": ({"equation": "abc,cd->abd", "output_shape": (None, 6)}, (2, 3, 4)),
    "Embedding": ({"input_dim": 9, "output_dim": 4}, (2, 3)),
    "ReversibleEmbedding": ({"input_dim": 9, "output_dim": 4, "tie_weights": False}, (2, 3)),
    "Conv1D": ({"filters": 3, "kernel_size": 2}, (2, 8, 4)),
    "Conv2D": ({"filters": 3, "kernel_size": 2}, (2, 8, 8, 4)),
    "Conv3D": ({"filters": 3, "kernel_size": 2}, (2, 4, 4, 4, 2)),
    "Conv1DTranspose": ({"filters": 3, "kernel_size": 2}, (2, 8, 4)),
    "Conv2DTranspose": ({"filters": 3, "kernel_size": 2}, (2, 8, 8, 4)),
    "Conv3DTranspose": ({"filters": 3, "kernel_size": 2}, (2, 4, 4, 4, 2)),
    "DepthwiseConv1D": ({"kernel_size": 2}, (2, 8, 4)),
    "DepthwiseConv2D": ({"kernel_size": 2}, (2, 8, 8, 4)),
    "SeparableConv1D": ({"filters": 3, "kernel_size": 2}, (2, 8, 4)),
    "SeparableConv2D": ({"filters": 3, "kernel_size": 2}, (2, 8, 8, 4)),
    "SimpleRNN": ({"units": 6}, (2, 3, 4)),
    "GRU": ({"units": 6}, (2, 3, 4)),
    "LSTM": ({"units": 6, "dropout": 0.1}, (2, 3, 4)),
    "SimpleRNNCell": ({"units": 6}, (2, 4)),
    "GRUCell": ({"units": 6}, (2, 4)),
    "LSTMCell": ({"units": 6}, (2, 4)),
    "ConvLSTM1D": ({"filters": 3, "kernel_size": 2}, (2, 3, 8, 4)),
    "ConvLSTM2D": ({"filters": 3, "kernel_size": 2}, (2, 3, 8, 8, 4)),
    "ConvLSTM3D": ({"filters": 3, "kernel_size": 2}, (2, 3, 4, 4, 4, 2)),
    "AdditiveAttention": ({"use_scale": True}, (2, 3, 4)),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 3}, (2, 3, 4)),
    "GroupQueryAttention": ({"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2}, (2, 3, 8)),
}  # fmt: skip
TWO_INPUTS = ("AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention")
WRAPPED = ("SpectralNormalization", "Bidirectional", "TimeDistributed", "RNN", "StackedRNNCells")
INITIALIZERS = (
    "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "GlorotNormal", "GlorotUniform", "HeNormal",
    "HeUniform", "LecunNormal", "LecunUniform", "Orthogonal",
)  # fmt: skip


def layers_of_keras() -> set[Any]:
    """Keras' layers with a default initializer that draws."""
    import keras

    found = set()
    for kind in vars(keras.layers).values():
        if inspect.isclass(kind) and issubclass(kind, keras.Layer):
            defaults = [each.default for each in inspect.signature(kind).parameters.values()]
            if any(isinstance(each, str) and _draws(each) for each in defaults):
                found.add(kind)
    return found


def _draws(name: str) -> bool:
    import keras
    from keras.src.initializers.random_initializers import RandomInitializer

    try:
        return isinstance(keras.initializers.get(name), RandomInitializer)
    except (KeyError, TypeError, ValueError):  # no initializer, or one that needs settings
        return False


def weights() -> dict[str, Any]:
    """The weights of every layer and initializer, by name and position."""
    import keras

    from kexp import initial_values

    layers, found = keras.layers, {}
    for name, (settings, shape) in LAYERS.items():
        with initial_values(SEED):
            layer = getattr(layers, name)(**settings)
            layer.build(*[shape] * 2) if name in TWO_INPUTS[1:] else layer.build(
                [shape] * 2 if name in TWO_INPUTS else shape
            )
        found |= _named(name, layer)
    with initial_values(SEED):
        model = keras.Sequential(
            [
                layers.Input((5, 6)),
                layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
                layers.TimeDistributed(layers.Dense(3)),
                layers.RNN(layers.StackedRNNCells([layers.GRUCell(3), layers.LSTMCell(2)])),
                layers.SpectralNormalization(layers.Dense(4, kernel_initializer="he_normal")),
                layers.PReLU("random_uniform"),
                layers.Dropout(0.5),
            ]
        )
    found |= _named("model", model)
    for name in INITIALIZERS:
        for seed in (None, 7):
            with initial_values(SEED):
                initializer = getattr(keras.initializers, name)(seed=seed)
                found[f"{name} {seed}"] = keras.ops.convert_to_numpy(initializer((30, 20)))
    generator = keras.random.SeedGenerator(5)
    with initial_values(SEED):
        for draw in range(2):
            found[f"generator {draw}"] = keras.ops.convert_to_numpy(keras.random.normal((3,), seed=generator))
            found[f"no seed {draw}"] = keras.ops.convert_to_numpy(keras.random.uniform((3,)))
            found[f"randint {draw}"] = keras.ops.convert_to_numpy(keras.random.randint((9,), 2, 7, seed=draw))
    return found


def _named(name: str, layer: Any) -> dict[str, Any]:
    return {f"{name} {position}": each for position, each in enumerate(layer.get_weights())}


if __name__ == "__main__":
    import numpy as np

    from kexp import training

    training.prepare_backend(sys.argv[1])
    np.savez(sys.argv[2], **weights())

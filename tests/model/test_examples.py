"""Models of the kinds that people learn Keras by, written as lists of layers: each trains a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layer_steps import ROWS, loss_of_a_step

TOKENS = np.arange(ROWS * 8).reshape(ROWS, 8) % 20
PIXELS = np.linspace(0, 255, ROWS * 8 * 8).reshape(ROWS, 8, 8)
SERIES = np.sin(np.arange(ROWS * 12.0)).reshape(ROWS, 12, 1)
SHARES = np.linspace(0, 1, ROWS * 8 * 8).reshape(ROWS, 8, 8, 1)
BINARY = np.arange(ROWS) % 2
EXAMPLES: dict[str, tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any], str]] = {
    "digits by convolutions": (
        "[{name: Input, shape: [8, 8, 1]}, {name: Rescaling, scale: 0.0039}, {name: Conv2D, filters: 4,"
        " kernel_size: [3, 3], activation: relu}, {name: MaxPooling2D, pool_size: [2, 2]}, Flatten,"
        " {name: Dropout, rate: 0.5}, {name: Dense, units: 2, activation: softmax}]",
        PIXELS,
        BINARY,
        "auto",
    ),
    "sentiment by a bidirectional LSTM": (
        "[{name: Input, shape: [null], dtype: int32}, {name: Embedding, input_dim: 20, output_dim: 4},"
        " {name: Bidirectional, layer: {name: LSTM, units: 3, return_sequences: true}},"
        " {name: Bidirectional, layer: {name: LSTM, units: 3}}, {name: Dense, units: 1, activation: sigmoid}]",
        TOKENS,
        BINARY,
        "binary_crossentropy",
    ),
    "text by convolutions": (
        "[{name: Embedding, input_dim: 20, output_dim: 4}, {name: Dropout, rate: 0.5}, {name: Conv1D, filters: 4,"
        " kernel_size: 3, padding: valid, activation: relu, strides: 2}, GlobalMaxPooling1D,"
        " {name: Dense, units: 4, activation: relu}, {name: Dense, units: 1, activation: sigmoid}]",
        TOKENS,
        BINARY,
        "binary_crossentropy",
    ),
    "masked tokens": (
        "[{name: Embedding, input_dim: 20, output_dim: 4, mask_zero: true}, {name: GRU, units: 3}]",
        TOKENS,
        BINARY,
        "auto",
    ),
    "a class of a time series": (
        "[{name: Conv1D, filters: 4, kernel_size: 3, padding: same}, BatchNormalization, ReLU,"
        " GlobalAveragePooling1D, {name: Dense, units: 2, activation: softmax}]",
        SERIES,
        BINARY,
        "auto",
    ),
    "a forecast of several steps": (
        "[{name: LSTM, units: 3}, {name: Dense, units: 4}]",
        SERIES,
        SERIES[:, :4, 0],
        "mean_absolute_error",
    ),
    "a perceptron": (
        "[Flatten, {name: Dense, units: 8, activation: relu, kernel_regularizer: l2}, {name: Dropout, rate: 0.2},"
        " {name: EinsumDense, equation: 'ab,bc->ac', output_shape: 4, bias_axes: c}, {name: Activation,"
        " activation: relu}, {name: Dense, units: 2, activation: softmax}]",
        PIXELS,
        BINARY,
        "auto",
    ),
    "an autoencoder of rows": (
        "[{name: Dense, units: 2, activation: relu, activity_regularizer: {name: l1, l1: 1e-5}},"
        " {name: Dense, units: 12, activation: sigmoid}]",
        SERIES[..., 0] / 2 + 0.5,
        SERIES[..., 0] / 2 + 0.5,
        "mean_squared_error",
    ),
    "an autoencoder of images": (
        "[{name: Conv2D, filters: 2, kernel_size: 3, activation: relu, padding: same}, {name: MaxPooling2D,"
        " pool_size: 2, padding: same}, {name: Conv2DTranspose, filters: 2, kernel_size: 3, strides: 2, padding: same},"
        " {name: Conv2D, filters: 1, kernel_size: 3, activation: sigmoid, padding: same}]",
        SHARES,
        SHARES,
        "mean_squared_error",
    ),
    "a tag for every token": (
        "[{name: Embedding, input_dim: 20, output_dim: 4}, {name: Bidirectional, layer: {name: GRU, units: 3,"
        " return_sequences: true}}, {name: TimeDistributed, layer: {name: Dense, units: 3, activation: softmax}}]",
        TOKENS,
        TOKENS % 3,
        "auto",
    ),
    "sums as sequences of digits": (  # sequence to sequence: one-hot characters in, a character at each step out
        "[{name: LSTM, units: 4}, {name: RepeatVector, n: 8}, {name: LSTM, units: 4, return_sequences: true},"
        " {name: Dense, units: 12, activation: softmax}]",
        np.eye(12)[TOKENS % 12],
        TOKENS[:, ::-1] % 12,
        "auto",
    ),
    "a class for every pixel": (
        "[{name: Rescaling, scale: 0.0039}, {name: Conv2D, filters: 3, kernel_size: 3, strides: 2, padding: same,"
        " activation: relu}, {name: UpSampling2D, size: 2}, {name: Conv2D, filters: 3, kernel_size: 3, padding: same,"
        " activation: softmax}]",
        PIXELS[..., None],
        (PIXELS // 64).astype(int) % 3,
        "auto",
    ),
    "an autoencoder of series, for anomalies": (
        "[{name: Conv1D, filters: 4, kernel_size: 7, padding: same, strides: 2, activation: relu}, {name: Dropout,"
        " rate: 0.2}, {name: Conv1DTranspose, filters: 4, kernel_size: 7, padding: same, strides: 2, activation: relu},"
        " {name: Conv1DTranspose, filters: 1, kernel_size: 7, padding: same}]",
        SERIES,
        SERIES,
        "mse",
    ),
    "the next frame": (
        "[{name: ConvLSTM2D, filters: 2, kernel_size: 3, padding: same, return_sequences: true, activation: relu},"
        " BatchNormalization, {name: Conv3D, filters: 1, kernel_size: 3, activation: sigmoid, padding: same}]",
        SHARES[:, None, :4, :4].repeat(3, axis=1),
        SHARES[:, None, :4, :4].repeat(3, axis=1),
        "binary_crossentropy",
    ),
    "separable convolutions": (
        "[{name: Reshape, target_shape: [8, 8, 1]}, {name: SeparableConv2D, filters: 4, kernel_size: 3,"
        " use_bias: false}, BatchNormalization, {name: Activation, activation: relu}, GlobalAveragePooling2D]",
        PIXELS,
        BINARY,
        "auto",
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_trains_a_step(example: str) -> None:
    layers, x, y, loss = EXAMPLES[example]
    assert np.isfinite(loss_of_a_step(layers, x, y, f"loss={loss}"))

"""Layers that learn from the data, on the training rows, against NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kexp.model import adapt

Array = Any


def rows(n: int = 101, width: int = 6) -> Array:
    """Features of very different size, one far from zero, one constant."""
    x = np.random.default_rng().normal(size=(n, width)) * np.logspace(-3, 3, width)
    x[:, 1] += 30
    x[:, 3] = 0.1
    return x.astype(np.float32)


def normalizing(shape: tuple[int, ...], axis: int | None = -1) -> keras.Sequential:
    return keras.Sequential([keras.Input(shape), keras.layers.Normalization(axis=axis)])


def batches(x: Array, size: int) -> list[Array]:
    return [x[start : start + size] for start in range(0, len(x), size)]


def test_features_are_normalised_as_numpy_does() -> None:
    x = rows()
    model = normalizing((6,))
    adapt(model, lambda: batches(x, 16))
    exact = x.astype(np.float64)
    scale = np.where(exact.std(0) < 1e-6, 1.0, exact.std(0))
    np.testing.assert_allclose(model.predict(x, verbose=0), (exact - exact.mean(0)) / scale, rtol=2e-3, atol=2e-3)
    mean, variance, _ = (np.asarray(weight) for weight in model.layers[0].weights)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(variance, scale**2, rtol=1e-6)


def test_constant_feature_is_only_centred() -> None:
    x = rows()
    model = normalizing((6,))
    adapt(model, lambda: [x])
    other = x[:1].copy()
    other[0, 3] = 5.1
    assert model.predict(other, verbose=0)[0, 3] == pytest.approx(5.0, rel=1e-5)


def test_statistics_do_not_depend_on_order_and_batches() -> None:
    x = rows()
    found = []
    for ordered, size in ((x, 16), (x[::-1], 7), (x[np.random.default_rng().permutation(len(x))], 101)):
        model = normalizing((6,))
        adapt(model, lambda ordered=ordered, size=size: batches(ordered, size))
        found.append(model.get_weights())
    for weights in found[1:]:
        for one, other in zip(found[0], weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-7)


@pytest.mark.parametrize(("shape", "axis"), [((4, 4, 1), None), ((5, 3), -1), ((5, 3), 1)])
def test_other_axes_are_normalised_as_numpy_does(shape: tuple[int, ...], axis: int | None) -> None:
    x = (np.random.default_rng().normal(size=(50, *shape)) * 3 + 1).astype(np.float32)
    model = normalizing(shape, axis)
    adapt(model, lambda: batches(x, 13))
    kept = () if axis is None else (axis % x.ndim,)
    over = tuple(each for each in range(x.ndim) if each not in kept)
    expected = (x - x.mean(over, keepdims=True)) / x.std(over, keepdims=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_layer_is_fitted_on_what_reaches_it() -> None:
    x = rows()
    layers = [keras.layers.Normalization(), keras.layers.Rescaling(4.0, offset=3.0), keras.layers.Normalization()]
    model = keras.Sequential([keras.Input((6,)), *layers])
    adapt(model, lambda: batches(x, 10))
    y = model.predict(x, verbose=0)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-2)
    assert layers[2].get_weights()[0] == pytest.approx(np.full(6, 3.0), abs=1e-2)


def test_other_adaptable_layers_adapt_themselves() -> None:
    x = np.random.default_rng().normal(size=(101, 1)).astype(np.float32)
    layer = keras.layers.Discretization(num_bins=4)
    model = keras.Sequential([keras.Input((1,)), layer])
    adapt(model, lambda: [x])
    assert len(layer.bin_boundaries) == 3
    assert np.bincount(np.asarray(model(x)).astype(int).ravel(), minlength=4) == pytest.approx(np.full(4, 25), abs=8)


def test_given_statistics_stay() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 4.0])])
    adapt(model, lambda: [np.ones((3, 2), np.float32)])
    np.testing.assert_allclose(model(np.ones((1, 2), np.float32)), [[0.0, -0.5]])


def test_pooled_features_share_the_statistics_of_all() -> None:
    x = (np.random.default_rng().normal(size=(50, 6)) * np.arange(1, 7) + np.arange(6)).astype(np.float32)
    model = normalizing((6,))
    adapt(model, lambda: batches(x, 13), pooled=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), (x - x.mean()) / x.std(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
def test_statistics_are_saved_with_the_model(file: str, tmp_path: Path) -> None:
    x = rows()
    model = normalizing((6,))
    adapt(model, lambda: [x])
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(UserWarning)
        model.save(tmp_path / file)
    again = keras.models.load_model(tmp_path / file, compile=False)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


ON_JAX = """
import numpy as np, keras
from kexp.model import adapt
x = np.random.default_rng().normal(size=(40, 3)).astype("float32") * 5 + 2
model = keras.Sequential([keras.Input((3,)), keras.layers.Normalization()])
adapt(model, lambda: [x[:25], x[25:]])
np.testing.assert_allclose(model.predict(x, verbose=0), (x - x.mean(0)) / x.std(0), rtol=1e-4, atol=1e-5)
import jax
values = [v.value for v in model.non_trainable_variables]
moved = [value + 1 if "mean" in v.path else value for v, value in zip(model.non_trainable_variables, values)]
call = jax.jit(lambda state, x: model.stateless_call([], state, x)[0])
np.testing.assert_allclose(call(values, x) - call(moved, x), np.ones_like(x) / x.std(0), rtol=1e-4)
"""


def test_statistics_are_weights_of_a_compiled_jax_program() -> None:
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", ON_JAX], check=True, env=environment, timeout=120)

"""Max pooling with the quick gradient against Keras' own on JAX, bit for bit."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from keras import ops

from kexp.fused.functional.pooling import fast_pooling_gradient

CASES = [
    ((3, 9, 7, 2), 2, None),  # rows and columns that no window takes, or that are padded
    ((3, 9, 7, 2), (3, 2), None),
    ((2, 11, 3), 2, None),
    ((2, 5, 6, 7, 2), 2, None),
    ((2, 3, 8, 8), 2, "channels_first"),
    ((2, 8, 8, 3), (2, 1), None),
    ((2, 9, 9, 3), ((3, 3), (2, 2)), None),  # windows that overlap stay Keras'
]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("shape", "size", "form"), CASES)
def test_values_and_gradients_are_those_of_keras(shape: tuple[int, ...], size: Any, form: Any, padding: str) -> None:
    random = np.random.default_rng(0)
    window, strides = size if isinstance(size, tuple) and isinstance(size[0], tuple) else (size, size)

    def pooled(x: Any) -> Any:
        return ops.max_pool(x, window, strides, padding, form)

    for x in (random.random(shape, np.float32), random.integers(-1, 2, shape).astype(np.float32)):  # the latter ties
        weights = random.standard_normal(pooled(x).shape).astype(np.float32)

        def loss(x: Any, weights: Any = weights) -> Any:
            return (pooled(x) * weights).sum()

        expected = jax.jit(jax.value_and_grad(loss))(x)
        with fast_pooling_gradient():
            found = jax.jit(jax.value_and_grad(loss))(x)
            mapped = jax.jit(jax.vmap(jax.grad(loss)))(np.stack([x, x]))
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_array_equal(mapped[1], expected[1])


def test_the_gradient_is_no_scatter() -> None:
    def compiled() -> str:
        lowered = jax.jit(jax.grad(lambda x: ops.max_pool(x, 2, 2).sum())).lower(np.zeros((1, 4, 4, 1)))
        return lowered.as_text()

    assert "select_and_scatter" in compiled()
    with fast_pooling_gradient():
        assert "select_and_scatter" not in compiled()

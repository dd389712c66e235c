"""Max pooling with a fast gradient on a CPU.

XLA differentiates max pooling by select-and-scatter, which on a CPU takes ten times as long as the convolution before
it. If windows do not overlap, as by Keras' default, each input belongs to one output. The gradient then goes to the
first of the greatest values of each window, as XLA's does, and comparisons of strided slices find that value. Results
are the same bit for bit.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["fast_pooling_gradient"]

_active: ContextVar[bool] = ContextVar("_active", default=False)


@contextmanager
def fast_pooling_gradient() -> Iterator[None]:
    """Gives Keras' max pooling the fast gradient in code that is traced within the block on JAX, on a CPU."""
    _install()
    before = _active.set(True)
    try:
        yield
    finally:
        _active.reset(before)


@functools.cache
def _install() -> None:
    """Wraps Keras' pooling function for JAX, so that `_active` switches it."""
    import jax
    from keras.src.backend.jax import nn

    keras_pool = getattr(nn, "_pool", None)
    if keras_pool is None:  # a version of Keras without this function keeps its own gradient
        return

    @functools.wraps(keras_pool)
    def pool(inputs: Any, initial: Any, reduce: Any, size: Any, strides: Any = None, padding: str = "valid") -> Any:
        fast = _active.get() and reduce is jax.lax.max and jax.default_backend() == "cpu"
        if not fast or tuple(size) != tuple(strides or ()) or padding not in ("same", "valid"):
            return keras_pool(inputs, initial, reduce, size, strides, padding)
        return _max_pool()(inputs, tuple(size), padding.upper())

    nn._pool = pool


@functools.cache
def _max_pool() -> Any:
    """Returns max pooling over windows that do not overlap: (x, window, padding) -> the greatest of each window."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    @functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
    def max_pool(x: Any, window: tuple[int, ...], padding: str) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, window, window, padding)

    def jvp(window: tuple[int, ...], padding: str, primals: Any, tangents: Any) -> Any:
        (x,), (tangent,) = primals, tangents
        greatest = max_pool(x, window, padding)
        lows = [low for low, _ in lax.padtype_to_pads(x.shape, window, window, padding)]
        full = [out * size for out, size in zip(greatest.shape, window, strict=True)]
        pads = [(low, end - low - length, 0) for low, end, length in zip(lows, full, x.shape, strict=True)]
        x, tangent = lax.pad(x, -jnp.inf, pads), lax.pad(tangent, jnp.zeros((), tangent.dtype), pads)
        unmatched, result = jnp.ones(greatest.shape, bool), jnp.zeros(greatest.shape, tangent.dtype)
        for offset in itertools.product(*map(range, window)):
            at_offset = tuple(slice(first, None, size) for first, size in zip(offset, window, strict=True))
            chosen = unmatched & (x[at_offset] == greatest)
            result, unmatched = result + jnp.where(chosen, tangent[at_offset], 0), unmatched & ~chosen
        return greatest, result

    max_pool.defjvp(jvp)
    return max_pool

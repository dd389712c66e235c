"""Max pooling whose gradient is quick on a CPU.

XLA differentiates max pooling by a select-and-scatter, which on a CPU takes ten times as long as the convolution before
it. Where windows do not overlap, which is Keras' default, each input belongs to one output: the gradient goes to the
first of a window's greatest values, as XLA sends it, by comparing slices. Values are the same bit for bit.
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
    """Keras' max pooling on JAX, as it is traced within, has the quick gradient on a CPU."""
    _install()
    before = _active.set(True)
    try:
        yield
    finally:
        _active.reset(before)


@functools.cache
def _install() -> None:
    """Wraps how Keras pools on JAX, so that `_active` switches it."""
    import jax
    from keras.src.backend.jax import nn

    of_keras = getattr(nn, "_pool", None)
    if of_keras is None:  # another Keras, whose own gradient then stays
        return

    @functools.wraps(of_keras)
    def pool(inputs: Any, initial: Any, reduce: Any, size: Any, strides: Any = None, padding: str = "valid") -> Any:
        quick = _active.get() and reduce is jax.lax.max and jax.default_backend() == "cpu"
        if not quick or tuple(size) != tuple(strides or ()) or padding not in ("same", "valid"):
            return of_keras(inputs, initial, reduce, size, strides, padding)
        return _pooled()(inputs, tuple(size), padding.upper())

    nn._pool = pool


@functools.cache
def _pooled() -> Any:
    import jax
    import jax.numpy as jnp
    from jax import lax

    @functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
    def pooled(x: Any, window: tuple[int, ...], padding: str) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, window, window, padding)

    def differentiated(window: tuple[int, ...], padding: str, given: Any, tangents: Any) -> Any:
        (x,), (tangent,) = given, tangents
        greatest = pooled(x, window, padding)
        lows = [low for low, _ in lax.padtype_to_pads(x.shape, window, window, padding)]
        full = [out * size for out, size in zip(greatest.shape, window, strict=True)]
        pads = [(low, end - low - length, 0) for low, end, length in zip(lows, full, x.shape, strict=True)]
        x, tangent = lax.pad(x, -jnp.inf, pads), lax.pad(tangent, jnp.zeros((), tangent.dtype), pads)
        free, moved = jnp.ones(greatest.shape, bool), jnp.zeros(greatest.shape, tangent.dtype)
        for offset in itertools.product(*map(range, window)):
            place = tuple(slice(first, None, size) for first, size in zip(offset, window, strict=True))
            chosen = free & (x[place] == greatest)
            moved, free = moved + jnp.where(chosen, tangent[place], 0), free & ~chosen
        return greatest, moved

    pooled.defjvp(differentiated)
    return pooled

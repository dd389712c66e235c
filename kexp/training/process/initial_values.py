"""Initial values from one generator: the same seed starts a model with the same weights on every backend.

Each Keras backend draws random numbers in its own way. While a model is built, NumPy draws them instead, with Philox, a
counter-based generator, keyed by the seed that Keras gave the initializer. Each number depends only on that key and on
its position, not on other draws, other threads or the processor.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["initial_values", "numpy_draws"]

_active = ContextVar("numpy draws", default=False)

_TRUNCATED_AT = 2.0  # standard deviations, as Keras cuts a normal distribution


@contextmanager
def initial_values(seed: int) -> Iterator[None]:
    """Gives models that are built within the initial weights of an experiment with this seed, on any backend.

    Seeds Python, NumPy, Keras and the backend as an experiment does. Keras creates weights when the input shape is
    known, so the model must begin with a `keras.Input` or be built within the block.

    Args:
        seed: the experiment's `seed`.
    """
    from kexp.training.process.backend import seed_everything

    seed_everything(seed)
    with numpy_draws():
        yield


@contextmanager
def numpy_draws() -> Iterator[None]:
    """Makes `keras.random` and Keras' initializers draw with NumPy in this thread, except in traced code."""
    _install()
    before = _active.set(True)
    try:
        yield
    finally:
        _active.reset(before)


@functools.cache
def _install() -> None:
    """Wraps the backend's random functions and Keras' orthogonal initializer, so that `_active` switches them."""
    import keras
    from keras.src.backend import random

    for name, draw in _DRAWS.items():
        setattr(random, name, _switched(getattr(random, name), draw))
    keras.initializers.Orthogonal.__call__ = _switched_orthogonal(keras.initializers.Orthogonal.__call__)


def _switched(drawn_by_backend: Callable[..., Any], draw: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(drawn_by_backend)

    @functools.wraps(drawn_by_backend)
    def switched(*arguments: Any, **settings: Any) -> Any:
        if not _active.get():
            return drawn_by_backend(*arguments, **settings)
        given = signature.bind(*arguments, **settings).arguments
        seed, dtype = given.pop("seed", None), given.pop("dtype", None)
        key = _key(seed) if all(isinstance(each, int) for each in given["shape"]) else None
        if key is None:
            return drawn_by_backend(*arguments, **settings)
        return _as_tensor(draw(key, **given), dtype)

    return switched


def _as_tensor(values: Any, dtype: Any) -> Any:
    from keras.src import backend

    return backend.convert_to_tensor(values, dtype=dtype or (backend.floatx() if values.dtype.kind == "f" else "int32"))


def _key(seed: Any) -> int | None:
    """Returns the generator's key: the seed, and the number of earlier draws of a `SeedGenerator`. None if traced."""
    from keras.src import backend
    from keras.src.random import seed_generator

    if isinstance(seed, int):
        return seed & 0xFFFFFFFF
    if seed is None:
        seed = seed_generator.global_seed_generator()
    state = seed.state.value if isinstance(seed, seed_generator.SeedGenerator) else seed
    try:
        first, count = (int(each) & 0xFFFFFFFF for each in backend.convert_to_numpy(state))
    except Exception:  # a symbol, which each backend refuses to turn into a number in its own way
        return None
    if isinstance(seed, seed_generator.SeedGenerator):
        seed.next()
    return first | count << 32


def _whole_numbers(key: int, count: int) -> Any:
    """Returns the generator's random bits, shape (count,), uint32."""
    import numpy as np

    raw = np.random.Philox(key=key).random_raw((count + 1) // 2)
    return raw.astype("<u8", copy=False).view("<u4")[:count]


def _uniform(key: int, shape: Any, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    import numpy as np

    values = (_whole_numbers(key, math.prod(shape)) >> np.uint32(8)).astype(np.float32)
    values *= np.float32(2**-24)
    low, high = _number(minval), _number(maxval)
    return values.reshape(shape) * (high - low) + low


def _normal(key: int, shape: Any, mean: Any = 0.0, stddev: Any = 1.0) -> Any:
    return _inverse_normal(_centred(key, shape)) * _number(stddev) + _number(mean)


def _truncated_normal(key: int, shape: Any, mean: Any = 0.0, stddev: Any = 1.0) -> Any:
    import numpy as np

    values = _centred(key, shape)
    values *= np.float32(math.erf(_TRUNCATED_AT / math.sqrt(2)))
    return _inverse_normal(values) * _number(stddev) + _number(mean)


def _randint(key: int, shape: Any, minval: Any, maxval: Any) -> Any:
    import numpy as np

    low, high = (np.asarray(_number(each)).astype(np.int64) for each in (minval, maxval))
    raw = np.random.Philox(key=key).random_raw(math.prod(shape)).reshape(shape)
    return low + (raw % (high - low).astype(np.uint64)).astype(np.int64)


_DRAWS: dict[str, Callable[..., Any]] = {
    "uniform": _uniform,
    "normal": _normal,
    "truncated_normal": _truncated_normal,
    "randint": _randint,
}


def _centred(key: int, shape: Any) -> Any:
    """Returns uniform numbers in the open interval (-1, 1), each the middle of one of 2^23 equal parts."""
    import numpy as np

    values = (_whole_numbers(key, math.prod(shape)) >> np.uint32(9)).astype(np.float32)
    values *= np.float32(2**-22)
    values += np.float32(2**-23 - 1)
    return values.reshape(shape)


def _inverse_normal(x: Any) -> Any:
    """Computes sqrt(2) erfinv(x) in float32, which maps uniform numbers in (-1, 1) to standard normal ones.

    Source:
        Giles (2010), Approximating the erfinv function, the polynomials for single precision.
    """
    import numpy as np

    w = -np.log((1 - x) * (1 + x))
    result = _polynomial(w - np.float32(2.5), _CENTRE)
    far = w >= 5
    if far.any():
        result[far] = _polynomial(np.sqrt(w[far]) - np.float32(3), _TAIL)
    result *= x
    result *= np.float32(math.sqrt(2))
    return result


def _polynomial(w: Any, coefficients: tuple[float, ...]) -> Any:
    import numpy as np

    result = np.full_like(w, coefficients[0])
    for each in coefficients[1:]:
        result *= w
        result += np.float32(each)
    return result


_CENTRE = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


def _number(value: Any) -> Any:
    """Returns a Python number unchanged, and a backend's array as a NumPy array."""
    if isinstance(value, (int, float)):
        return value
    from keras.src import backend

    return backend.convert_to_numpy(value)


def _switched_orthogonal(drawn_by_backend: Callable[..., Any]) -> Callable[..., Any]:
    """Computes Keras' formula with NumPy's QR decomposition in float64: the backends' own differ in the last digits."""

    @functools.wraps(drawn_by_backend)
    def switched(self: Any, shape: Any, dtype: Any = None) -> Any:
        import numpy as np

        key = _key(self.seed) if _active.get() and len(shape) >= 2 else None
        if key is None:
            return drawn_by_backend(self, shape, dtype)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(_normal(key, (max(rows, columns), min(rows, columns))).astype(np.float64))
        q *= np.sign(np.diag(r))
        values = (self.gain * (q.T if rows < columns else q)).astype(np.float32).reshape(shape)
        return _as_tensor(values, dtype)

    return switched

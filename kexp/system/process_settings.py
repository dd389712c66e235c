"""Settings of the whole process that anybody's code may change, such as Keras' epsilon.

What a module of the user's sets as it is imported is undone, and set again for the runs that use the module.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

__all__ = ["BACKEND", "PRECISION", "apart", "as_set_by", "put", "put_back", "set_by", "settings"]

PRECISION = ("Keras' floatx", "Keras' dtype_policy")  # which every run sets itself
BACKEND, _FOLDER = "KERAS_BACKEND", "the working directory"
_of: dict[str, dict[str, Any]] = {}  # module -> what it set as it was imported


def settings() -> dict[str, tuple[Callable[[Any], object], Any]]:
    """Returns name -> (function that sets it, value), of the libraries that are loaded."""
    found: dict[str, tuple[Callable[[Any], object], Any]] = {
        _FOLDER: (os.chdir, os.getcwd()),
    }
    if (config := _config_of("keras")) is not None:
        found |= {
            "Keras' floatx": (config.set_floatx, config.floatx()),
            "Keras' epsilon": (config.set_epsilon, config.epsilon()),
            "Keras' image_data_format": (config.set_image_data_format, config.image_data_format()),
            "Keras' dtype_policy": (config.set_dtype_policy, config.dtype_policy().name),
        }
    if (config := _config_of("tensorflow")) is not None:
        found["TensorFlow's eager mode"] = (config.run_functions_eagerly, config.functions_run_eagerly())
    if (config := _config_of("jax")) is not None:
        found["JAX's jax_enable_x64"] = (partial(config.update, "jax_enable_x64"), config.jax_enable_x64)
    return found


@contextmanager
def put_back() -> Iterator[dict[str, Any]]:
    """Undoes what the code within the block changes. Yields a mapping that has it after the block."""
    before, changed = settings(), dict[str, Any]()
    try:
        yield changed
    finally:
        after = {name: value for name, (_, value) in settings().items()}
        changed |= {name: after[name] for name, (_, value) in before.items() if after[name] != value}
        for name in changed:
            put_it_back, value = before[name]
            put_it_back(value)


@contextmanager
def apart(module: str) -> Iterator[None]:
    """Notes what a module sets while it is imported within the block, and undoes it; the backend is one such thing."""
    backend = os.environ.get(BACKEND)
    try:
        with put_back() as changed:
            yield
    finally:
        if (another := os.environ.get(BACKEND)) != backend:
            changed[BACKEND] = another
            os.environ[BACKEND] = backend or ""
            if backend is None:
                del os.environ[BACKEND]
        if changed:
            _of[module] = {**_of.get(module, {}), **changed}


@contextmanager
def as_set_by(modules: Iterable[str]) -> Iterator[None]:
    """Has the settings within the block that modules have made, but not the backend, which a process chooses once."""
    with put_back():
        put(set_by(modules))
        yield


def set_by(modules: Iterable[str]) -> dict[str, Any]:
    """Returns what modules set as they were imported: name -> value."""
    return {name: value for module in modules for name, value in _of.get(module, {}).items()}


def put(values: Mapping[str, Any]) -> None:
    """Sets settings, but not the working directory, which is the user's.

    Args:
        values: name -> value, as `set_by` returns.
    """
    now = settings()
    for name, value in values.items():
        if name in now and name != _FOLDER:
            now[name][0](value)


def _config_of(library: str) -> Any:
    """Returns a library's `config` if the library is loaded, else None."""
    return getattr(sys.modules.get(library), "config", None)

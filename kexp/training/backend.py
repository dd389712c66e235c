"""The Keras backend of this process: chosen once, quietly, and seeded."""

from __future__ import annotations

import atexit
import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kexp.errors import ConfigError
from kexp.quiet import hush

__all__ = [
    "check_backend",
    "check_backend_installed",
    "is_own_process",
    "own_process",
    "prepare_backend",
    "seed_everything",
    "set_precision",
    "their_precision",
]

_MODULES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
_FOR_OTHERS = ("sklearn", "matplotlib", "pandas")  # Keras' wrappers, galleries and data frames
_left_out: set[str] = set()
_policies = {"float32"}  # Keras' default, and what kexp has set


def own_process() -> None:
    """Says that this process is kexp's alone. Keras is then imported without what only others' code wants of it.

    That halves the import on JAX, and saves a third of it on TensorFlow. And it ends without a search for cycles in
    all that was imported.
    """
    if not _left_out:
        atexit.register(gc.freeze)
    _left_out.update(_FOR_OTHERS)


def is_own_process() -> bool:
    """Whether this process is kexp's alone."""
    return bool(_left_out)


def check_backend_installed(name: str) -> None:
    """Refuses a backend that is not there.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec(_MODULES[name]) is None:
        raise ConfigError(f"backend: {name} is not installed; pip install 'kexp[{name}]'")


def check_backend(name: str) -> None:
    """Chooses the backend that Keras will be imported with, without importing it.

    Raises:
        ConfigError: the backend is not installed, or Keras was imported with another one in this process.
    """
    check_backend_installed(name)
    loaded = sys.modules.get("keras")
    if loaded is not None and loaded.config.backend() != name:
        raise ConfigError(
            f"backend: this process has imported Keras on {loaded.config.backend()} and cannot change to {name}; "
            "start a new process (hydra/launcher=processes has one for each), or set KERAS_BACKEND before Keras is "
            "imported"
        )
    os.environ["KERAS_BACKEND"] = name
    hush()


def prepare_backend(name: str) -> None:
    """Imports Keras on the backend `name`, and keeps TensorFlow's, absl's and JAX's banners away from the terminal.

    Raises:
        ConfigError: as `check_backend`.
    """
    check_backend(name)
    if "keras" not in sys.modules:
        hidden = _left_out if name != "torch" else set[str]()  # PyTorch looks for pandas itself, and means to find it
        with _hidden(hidden):
            importlib.import_module("keras")


@contextmanager
def _hidden(names: set[str]) -> Iterator[None]:
    """Modules that are not loaded yet are not there for what this thread imports; other threads find them."""
    thread = threading.get_ident()

    class Hiding:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> None:
            if name in names and threading.get_ident() == thread:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Hiding)
    try:
        yield
    finally:
        sys.meta_path.remove(Hiding)


def set_precision(policy: str) -> None:
    """Sets Keras' dtype policy, by which layers compute."""
    import keras

    keras.config.set_dtype_policy(policy)
    _policies.add(policy)


def their_precision() -> str | None:
    """The dtype policy that somebody's module has set, Keras' default and kexp's own aside. Imports nothing."""
    keras = sys.modules.get("keras")
    if keras is None:
        return None
    policy: str = keras.config.dtype_policy().name
    return None if policy in _policies else policy


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy, Keras and the backend, and makes TensorFlow's operations deterministic.

    `keras.utils.set_random_seed` would import TensorFlow on every backend, which costs seconds: on JAX Keras' own
    generator is all there is to seed.
    """
    import random

    import keras
    import numpy

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow

        tensorflow.random.set_seed(seed)
        tensorflow.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch

        torch.manual_seed(seed)
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
    from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)

"""The Keras backend of this process: choose it, import Keras without banners, set the dtype policy, seed."""

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
from kexp.system.quick_imports import without_collections
from kexp.system.quiet import silence_libraries
from kexp.training.process.compiled_programs import use_compilation_cache

__all__ = [
    "check_backend",
    "check_backend_installed",
    "is_own_process",
    "loaded_backend",
    "own_process",
    "prepare_backend",
    "seed_everything",
    "set_precision",
    "user_precision",
]

_OPTIONAL_IMPORTS = ("sklearn", "matplotlib", "pandas")  # Keras' wrappers, galleries and data frames
_skipped_imports: set[str] = set()
_FLOATX = "float32"
_policies = {_FLOATX}  # Keras' default, and the policies that kexp has set


def own_process() -> None:
    """Marks this process as kexp's own: no other program's code runs in it.

    Keras is then imported without scikit-learn, Matplotlib and pandas, which halves the import on JAX and saves a
    third of it on TensorFlow. At exit the garbage collector skips the imported modules.
    """
    if not _skipped_imports:
        atexit.register(gc.freeze)
    _skipped_imports.update(_OPTIONAL_IMPORTS)


def is_own_process() -> bool:
    """Returns whether `own_process` was called."""
    return bool(_skipped_imports)


def check_backend_installed(name: str) -> None:
    """Checks that a backend is installed.

    Args:
        name: `tensorflow`, `jax` or `torch`.

    Raises:
        ConfigError: the backend is not installed.
    """
    if importlib.util.find_spec(name) is None:
        raise ConfigError(f"backend: {name} is not installed; pip install 'kexp[{name}]'")


def loaded_backend(default: str) -> str:
    """Returns the backend on which this process has imported Keras, or the default if it has not. Imports nothing."""
    keras = sys.modules.get("keras")
    return default if keras is None else str(keras.config.backend())


def check_backend(name: str) -> None:
    """Sets the backend for the later import of Keras. Imports nothing.

    Args:
        name: `tensorflow`, `jax` or `torch`.

    Raises:
        ConfigError: the backend is not installed, or Keras was imported with another one in this process.
    """
    check_backend_installed(name)
    if (loaded := loaded_backend(name)) != name:
        raise ConfigError(
            f"backend: this process has imported Keras on {loaded} and cannot change to {name}; "
            "start a new process (hydra/launcher=processes has one for each), or set KERAS_BACKEND before Keras is "
            "imported"
        )
    os.environ["KERAS_BACKEND"] = name
    silence_libraries()


def prepare_backend(name: str) -> None:
    """Imports Keras on a backend without the banners of TensorFlow, absl and JAX.

    Args:
        name: `tensorflow`, `jax` or `torch`.

    Raises:
        ConfigError: see `check_backend`.
    """
    check_backend(name)
    if "keras" not in sys.modules:
        hidden = _skipped_imports if name != "torch" else set[str]()  # PyTorch itself may need pandas
        with _hidden(hidden), without_collections(freeze=is_own_process()):
            importlib.import_module("keras")
        if name == "jax" and is_own_process():
            use_compilation_cache()


@contextmanager
def _hidden(names: set[str]) -> Iterator[None]:
    """Hides modules that are not loaded yet from imports in this thread. Other threads still find them."""
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
    """Sets Keras' global dtype policy, which layers use, and its `floatx`, which losses and metrics use.

    Args:
        policy: `float32`, `mixed_float16` or another name that Keras takes.
    """
    import keras

    keras.config.set_floatx(_FLOATX)
    keras.config.set_dtype_policy(policy)
    _policies.add(policy)


def user_precision() -> tuple[str, str] | None:
    """Returns what user code has set globally, `dtype policy` or `floatx`, and its value. Imports nothing.

    Returns:
        None if both are Keras' default or kexp's.
    """
    keras = sys.modules.get("keras")
    if keras is None:
        return None
    if (floats := keras.config.floatx()) != _FLOATX:
        return "floatx", floats
    policy: str = keras.config.dtype_policy().name
    return None if policy in _policies else ("dtype policy", policy)


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy, Keras and the backend, and makes TensorFlow's operations deterministic.

    It replaces `keras.utils.set_random_seed`, which imports TensorFlow on every backend and so costs seconds. JAX has
    no global generator of its own.

    Args:
        seed: >= 0.
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

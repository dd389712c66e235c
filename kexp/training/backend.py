"""The Keras backend of this process: chosen once, quietly, and seeded."""

from __future__ import annotations

import importlib.util
import os
import sys

from kexp.errors import ConfigError
from kexp.training.quiet import banners_held_back, quiet_loggers

__all__ = ["check_backend", "prepare_backend", "seed_everything"]

_MODULES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def check_backend(name: str) -> None:
    """Chooses the backend that Keras will be imported with, without importing it.

    Raises:
        ConfigError: the backend is not installed, or Keras was imported with another one in this process.
    """
    if importlib.util.find_spec(_MODULES[name]) is None:
        raise ConfigError(f"backend: {name} is not installed; pip install 'kexp[{name}]'")
    loaded = sys.modules.get("keras")
    if loaded is not None and loaded.config.backend() != name:
        raise ConfigError(
            f"backend: this process has imported Keras on {loaded.config.backend()} and cannot change to {name}; "
            "start a new process, or set KERAS_BACKEND before Keras is imported"
        )
    os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("ABSL_MIN_LOG_LEVEL", "3")


def prepare_backend(name: str) -> None:
    """Imports Keras on the backend `name`, and keeps TensorFlow's, absl's and JAX's banners away from the terminal.

    Raises:
        ConfigError: as `check_backend`.
    """
    check_backend(name)
    quiet_loggers()
    if "keras" not in sys.modules:
        with banners_held_back():
            importlib.import_module("keras")


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

"""kexp: Keras experiments from Hydra configs, tracked in MLflow.

    import kexp

    result = kexp.run(["optimizer=adam", "trainer.epochs=5"])
    result.history.frame()    # a DataFrame with one row per epoch
    result.model              # the trained Keras model

Importing this package does not import Keras, TensorFlow, JAX, MLflow, NumPy or pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kexp._version import __version__

if TYPE_CHECKING:
    from kexp import errors, losses, registry
    from kexp.api import run
    from kexp.stored.models import load_model
    from kexp.sweeps.api import sweep
    from kexp.sweeps.compare_sweeps import compare
    from kexp.training.process.initial_values import initial_values
    from kexp.traits import declare

__all__ = [
    "__version__",
    "compare",
    "declare",
    "errors",
    "initial_values",
    "load_model",
    "losses",
    "registry",
    "run",
    "sweep",
]

_HOMES = {
    "compare": "kexp.sweeps.compare_sweeps",
    "declare": "kexp.traits",
    "initial_values": "kexp.training.process.initial_values",
    "load_model": "kexp.stored.models",
    "run": "kexp.api",
    "sweep": "kexp.sweeps.api",
}
_MODULES = ("errors", "losses", "registry")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"kexp.{name}")
    raise AttributeError(f"module 'kexp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""KerasTuner's habit: a function of `hp`, or a HyperModel, that declares its hyperparameters as it builds the model.

It is run with a recorder in the place of `hp`, so that what it declares become parameters of the config, and again with
the config's values when the model is built. KerasTuner itself is not needed, and not imported.
"""

from __future__ import annotations

from kexp.registry.hyperparameters.declared import Declared, axes_of
from kexp.registry.hyperparameters.recorder import HyperParameters
from kexp.registry.hyperparameters.tunable import Tunable, as_tunable

__all__ = [
    "Declared",
    "HyperParameters",
    "Tunable",
    "as_tunable",
    "axes_of",
]

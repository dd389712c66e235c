"""Models written for KerasTuner: a function of `hp`, or a HyperModel, declares hyperparameters as it builds the model.

The function is called with a recorder instead of `hp`, so that its hyperparameters become parameters of the config.
When the model is built, it is called again with the config's values. KerasTuner itself is not imported.
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

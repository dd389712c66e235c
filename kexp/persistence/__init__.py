"""Saved models: written atomically, verified by reading them back, and loaded safely from untrusted files too.

Input: a Keras model and formats. Output: files with a manifest, and models loaded from them.
May be imported by `experiment` and everything above. Knows neither configs nor MLflow.
"""

from __future__ import annotations

from kexp.persistence.architecture import (
    architecture_config,
    model_from_architecture,
    set_weights,
    tensorflow_not_needed,
)
from kexp.persistence.format import Format, Predictor, carries, check_formats
from kexp.persistence.store import load_model, restore_optimizer, save_model
from kexp.persistence.untrusted.architecture_check import KNOWN_LAYERS, check_architecture
from kexp.persistence.untrusted.load import UNTRUSTED_FORMATS, load_untrusted

__all__ = [
    "KNOWN_LAYERS",
    "UNTRUSTED_FORMATS",
    "Format",
    "Predictor",
    "architecture_config",
    "carries",
    "check_architecture",
    "check_formats",
    "load_model",
    "load_untrusted",
    "model_from_architecture",
    "restore_optimizer",
    "save_model",
    "set_weights",
    "tensorflow_not_needed",
]

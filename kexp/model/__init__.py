"""Models: of Keras layers, built for the data's rows and the loss's output.

Importing this package imports none of Keras, TensorFlow, JAX and NumPy.
"""

from __future__ import annotations

from kexp.model.adapt import adapt, adaptable, follow_weights
from kexp.model.check import check_model
from kexp.model.spec import ModelSpec

__all__ = ["ModelSpec", "adapt", "adaptable", "check_model", "follow_weights"]

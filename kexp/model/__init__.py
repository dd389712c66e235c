"""Models of Keras layers, built for the shape of the data's rows and the output that the loss takes.

Importing this package imports none of Keras, TensorFlow, JAX and NumPy.
"""

from __future__ import annotations

from kexp.model.adapt import adapt, adaptable, follow_weights
from kexp.model.check import check_model
from kexp.model.spec import ModelSpec

__all__ = ["ModelSpec", "adapt", "adaptable", "check_model", "follow_weights"]

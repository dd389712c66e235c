"""What an MLflow model's copy of this folder is called, and its file."""

from __future__ import annotations

__all__ = ["FILE", "PACKAGE"]

FILE = "serving.json"  # beside the Keras file
PACKAGE = "kexp_served_"  # what copies of this folder are called, with a digest behind: versions stand side by side

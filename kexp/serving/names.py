"""The names of this folder's copies and of the file that they read."""

from __future__ import annotations

__all__ = ["FILE", "PACKAGE"]

FILE = "serving.json"  # beside the Keras file
PACKAGE = "kexp_served_"  # followed by a digest, so that a process can import several versions

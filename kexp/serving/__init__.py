"""The code inside a run's MLflow model: turns raw rows into features, and predictions into named outputs.

This folder is copied into each MLflow model under a name of its own, and `mlflow.pyfunc` imports it there, without an
installed kexp. Its files therefore import each other relatively, and besides only the standard library, NumPy and
pandas, and within functions Keras, Pillow and MLflow. kexp uses the same functions to encode rows and to read outputs.

`cells` reads single values, `encoding` encodes a table's columns, `series` cuts windows, `texts` and `images` read
texts and images, `requests` finds the rows in a request, `outputs` names the outputs, `pyfunc` combines all of them.
"""

from __future__ import annotations

from typing import Any

from .names import FILE, PACKAGE

__all__ = ["FILE", "PACKAGE"]


def _load_pyfunc(path: str) -> Any:
    """Loads the model for MLflow; `path` is the folder of its data."""
    from .pyfunc import load

    return load(path)

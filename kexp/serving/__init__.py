"""What a run's MLflow model carries along: raw rows in, named answers out, by NumPy, pandas and Keras alone.

This folder is copied into each MLflow model under a name of its own, where `mlflow.pyfunc` imports it: nothing of kexp
need be installed there. So its files import each other relatively, and of everything else the standard library, NumPy
and pandas; Keras, Pillow and MLflow where they are used. kexp itself encodes and reads outputs by the same functions.

`cells` reads single values, `encoding` makes a table's columns numbers, `series` cuts windows, `texts` and `images`
read those, `requests` finds rows in what was sent, `outputs` names what the model gives, `pyfunc` puts them together.
"""

from __future__ import annotations

from typing import Any

from .names import FILE, PACKAGE

__all__ = ["FILE", "PACKAGE"]


def _load_pyfunc(path: str) -> Any:
    """The model as MLflow loads it; `path` is the folder of its data."""
    from .pyfunc import load

    return load(path)

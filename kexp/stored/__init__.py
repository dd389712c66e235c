"""Finished runs, used again: load their config and model, describe their data, evaluate, compare and repeat them.

Input: a reference to a run. Output: its experiment, its model, predictions and metrics.
May be imported by sweeps and commands. Imports `experiment` and what that imports.
"""

from __future__ import annotations

from kexp.stored.config import load_experiment
from kexp.stored.description import Description, describe
from kexp.stored.models import load_model, open_model, use_backend
from kexp.stored.predictions import serving_formats
from kexp.stored.runs import StoredRun, find

__all__ = [
    "Description",
    "StoredRun",
    "describe",
    "find",
    "load_experiment",
    "load_model",
    "open_model",
    "serving_formats",
    "use_backend",
]

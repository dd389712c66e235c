"""Use finished runs: load their config and model, describe their data, evaluate, compare and repeat them."""

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

"""Prepare an experiment before compute: load and split the data, choose what the config leaves to it, check the fit."""

from __future__ import annotations

from kexp.experiment.prepared.prepared_experiment import Prepared, feeds
from kexp.experiment.prepared.preparing import load_data, prepare, split_data

__all__ = [
    "Prepared",
    "feeds",
    "load_data",
    "prepare",
    "split_data",
]

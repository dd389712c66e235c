"""Preparation of an experiment before any compute.

Input: a checked `Experiment`. Output: a `Prepared` experiment: data loaded and split, everything chosen that the config
leaves to the data or to the model's own code, and all of it checked to fit together.
May be imported by the other modules of `kexp.experiment`. Does not build the model for training.
"""

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

"""The fused engine: many trials as lanes of one compiled program, on Keras' JAX backend.

`run_trials` trains trials and gives their results as they end; `plan` says beforehand which trials share a program, and
what cannot be a lane and why; `train_one` runs a single trial through the same program, to the same bits.
"""

from __future__ import annotations

from kexp.fused.engine import compile_ahead, default_threads, run_trials, train_one, verify
from kexp.fused.lanes.callbacks import IN_CALLBACKS
from kexp.fused.lanes.streams import Group
from kexp.fused.planning import Fallback, Plan, Session, default_width, plan
from kexp.fused.shared import NotALaneError, settings_kept
from kexp.fused.structure.grouping import row_counts, structure_key, unfit
from kexp.fused.trial import LaneResult, Parked, Trial
from kexp.training.compiled_programs import use_compilation_cache

__all__ = [
    "IN_CALLBACKS",
    "Fallback",
    "Group",
    "LaneResult",
    "NotALaneError",
    "Parked",
    "Plan",
    "Session",
    "Trial",
    "compile_ahead",
    "default_threads",
    "default_width",
    "plan",
    "row_counts",
    "run_trials",
    "settings_kept",
    "structure_key",
    "train_one",
    "unfit",
    "use_compilation_cache",
    "verify",
]

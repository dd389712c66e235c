"""The fused engine: trains many trials as lanes of one compiled program, on Keras' JAX backend.

`plan` groups trials by program, and says why a trial cannot be a lane. `run_trials` trains trials and yields their
results as they end. `train_one` trains a single trial with the same program, to the same bits.
"""

from __future__ import annotations

from kexp.fused.engine import compile_ahead, default_threads, run_trials, train_one, verify
from kexp.fused.lanes.callbacks import IN_CALLBACKS
from kexp.fused.lanes.streams import Group
from kexp.fused.planning import Fallback, Plan, Session, default_width, plan
from kexp.fused.shared import NotALaneError, settings_guarded
from kexp.fused.structure.grouping import lane_refusal, row_counts, structure_key
from kexp.fused.trial import LaneResult, PausedLane, Trial
from kexp.training.process.compiled_programs import use_compilation_cache

__all__ = [
    "IN_CALLBACKS",
    "Fallback",
    "Group",
    "LaneResult",
    "NotALaneError",
    "PausedLane",
    "Plan",
    "Session",
    "Trial",
    "compile_ahead",
    "default_threads",
    "default_width",
    "lane_refusal",
    "plan",
    "row_counts",
    "run_trials",
    "settings_guarded",
    "structure_key",
    "train_one",
    "use_compilation_cache",
    "verify",
]

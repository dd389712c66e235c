"""Tracking: what is recorded of a run, kept on disk first and delivered to MLflow."""

from __future__ import annotations

from kexp.tracking.by_fingerprint import FinishedRun, finished_with
from kexp.tracking.chosen import chosen_store, left_alone, run_to_take_up
from kexp.tracking.collected import CollectedRun
from kexp.tracking.environment import environment
from kexp.tracking.finding import find_run, find_sweep
from kexp.tracking.finished import log_finished_run, log_finished_runs
from kexp.tracking.helper import warm_up
from kexp.tracking.model_registry import Registration, registration
from kexp.tracking.outbox import Header
from kexp.tracking.reading import (
    Point,
    RunView,
    fetch_artifact,
    list_artifacts,
    metric_history,
    search,
)
from kexp.tracking.record import DatasetRecord, RunRecord
from kexp.tracking.recorded import add_to_run, open_run
from kexp.tracking.settings import StoreSettings, command_line, resolve_uri
from kexp.tracking.stale import mark_failed, stale_runs
from kexp.tracking.status import Terminated, run_status
from kexp.tracking.store import prepare_store
from kexp.tracking.syncing import Delivered, sync, waiting_folders
from kexp.tracking.system import measured
from kexp.tracking.tracker import Served, Status, Tracker
from kexp.tracking.untracked import null_run
from kexp.tracking.values import flatten

__all__ = [
    "CollectedRun",
    "DatasetRecord",
    "Delivered",
    "FinishedRun",
    "Header",
    "Point",
    "Registration",
    "RunRecord",
    "RunView",
    "Served",
    "Status",
    "StoreSettings",
    "Terminated",
    "Tracker",
    "add_to_run",
    "chosen_store",
    "command_line",
    "environment",
    "fetch_artifact",
    "find_run",
    "find_sweep",
    "finished_with",
    "flatten",
    "left_alone",
    "list_artifacts",
    "log_finished_run",
    "log_finished_runs",
    "mark_failed",
    "measured",
    "metric_history",
    "null_run",
    "open_run",
    "prepare_store",
    "registration",
    "resolve_uri",
    "run_status",
    "run_to_take_up",
    "search",
    "stale_runs",
    "sync",
    "waiting_folders",
    "warm_up",
]

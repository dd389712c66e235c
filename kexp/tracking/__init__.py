"""Tracking: what a run records is on disk first, and is then delivered to MLflow.

Input: parameters, metrics, texts, files and models. Output: runs in the store, and runs read from it.
May be imported by `experiment` and everything above. Does not read the config.
"""

from __future__ import annotations

from kexp.tracking.delivery.finished_runs import log_finished_runs
from kexp.tracking.delivery.outbox import Header
from kexp.tracking.delivery.sync import sync, waiting_folders
from kexp.tracking.reading.by_fingerprint import find_finished
from kexp.tracking.reading.finding import find_run, find_sweep
from kexp.tracking.reading.mlflow_settings import chosen_store, ignored_variables, run_from_environment
from kexp.tracking.reading.runs import (
    RunView,
    fetch_artifact,
    list_artifacts,
    metric_history,
    search,
)
from kexp.tracking.reading.stale import mark_failed, stale_runs
from kexp.tracking.record.collected import CollectedRun
from kexp.tracking.record.run_record import DatasetRecord, RunRecord
from kexp.tracking.record.tracker import ServingFiles, Tracker, null_run
from kexp.tracking.run.environment import environment
from kexp.tracking.run.helper import start_helper
from kexp.tracking.run.recorded_run import add_to_run, open_run
from kexp.tracking.run.system_metrics import log_system_metrics
from kexp.tracking.settings import StoreSettings, command_line, resolve_uri
from kexp.tracking.status import Terminated, run_status
from kexp.tracking.store.model_registry import Registration, registration
from kexp.tracking.store.prepare import prepare_store
from kexp.tracking.values import flatten

__all__ = [
    "CollectedRun",
    "DatasetRecord",
    "Header",
    "Registration",
    "RunRecord",
    "RunView",
    "ServingFiles",
    "StoreSettings",
    "Terminated",
    "Tracker",
    "add_to_run",
    "chosen_store",
    "command_line",
    "environment",
    "fetch_artifact",
    "find_finished",
    "find_run",
    "find_sweep",
    "flatten",
    "ignored_variables",
    "list_artifacts",
    "log_finished_runs",
    "log_system_metrics",
    "mark_failed",
    "metric_history",
    "null_run",
    "open_run",
    "prepare_store",
    "registration",
    "resolve_uri",
    "run_from_environment",
    "run_status",
    "search",
    "stale_runs",
    "start_helper",
    "sync",
    "waiting_folders",
]

"""A cache of the results of a sweep on a server, in the sweep's folder.

The trials of a finished sweep change only if the sweep is resumed or runs are deleted. Four short requests, sent
concurrently, check that. Reading hundreds of trials would take a server seconds.

MULTIRUN/SWEEP/results.jsonl has two lines: the sweep's identity, and its results.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kexp.persistence.atomic import write_atomically
from kexp.sweeps.compare.results import SweepResults, TrialResult, read_sweep
from kexp.tracking import StoreSettings, resolve_uri
from kexp.tracking.reading.finding import SWEEP_NAME
from kexp.tracking.reading.on_server import found_runs
from kexp.tracking.settings import is_remote
from kexp.tracking.store.client import check_reachable, store_errors
from kexp.tracking.store.concurrent import run_concurrently
from kexp.tracking.store.prepare import experiment_id
from kexp.tracking.store.server_check import experiment_on_server

__all__ = ["read_results"]

_FILE = "results.jsonl"
_MOST = 1000  # trials; a request that lists more run ids is slower than reading the results


def read_results(settings: StoreSettings, ref: str) -> SweepResults:
    """Reads the trials of a sweep, from the cache if it is current; see `read_sweep` for the arguments and errors."""
    results = _read_cache(settings, ref)
    if results is None:
        results = read_sweep(settings, ref)
        _write_cache(settings, results)
    return results


def _write_cache(settings: StoreSettings, results: SweepResults) -> None:
    uri, parent = resolve_uri(settings), results.parent
    if results.folder is None or parent is None or not is_remote(uri) or len(results.trials) > _MOST:
        return
    if "RUNNING" in {parent.status, *(trial.state for trial in results.trials)}:
        return
    store = {"uri": uri, "experiment": settings.experiment, "experiment_id": experiment_id(settings)}
    content = {**vars(results), "folder": str(results.folder), "parent": None}
    content["trials"] = [dict(vars(trial)) for trial in results.trials]
    lines = [{**store, "sweep": _identity(vars(parent))}, content]
    with contextlib.suppress(OSError):
        write_atomically(results.folder / _FILE, "\n".join(map(json.dumps, lines)).encode())


def _read_cache(settings: StoreSettings, ref: str) -> SweepResults | None:
    """Returns the cached results of the sweep that `ref` names; None if there are none, or they are not current."""
    uri = resolve_uri(settings)
    if not is_remote(uri):
        return None
    for file in sorted(Path("multirun").glob(f"*/{_FILE}"), key=lambda each: -each.stat().st_mtime_ns):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(file, encoding="utf-8") as lines:
            header = json.loads(next(lines))
            sweep = header["sweep"]
            if (header["uri"], header["experiment"]) != (uri, settings.experiment):
                continue
            if ref not in ("latest", sweep["run_id"], sweep["tags"].get(SWEEP_NAME)):
                continue
            content = json.loads(next(lines))
            content["trials"] = [TrialResult(**trial) for trial in content["trials"]]
            results = SweepResults(**{**content, "folder": file.parent})
            return results if _are_current(settings, ref, header, results) else None
    return None


def _are_current(settings: StoreSettings, ref: str, header: Mapping[str, Any], results: SweepResults) -> bool:
    """Returns whether `ref` still names the sweep, unchanged, and the sweep has the same trials."""
    uri, sweep = resolve_uri(settings), header["sweep"]
    run_ids = [trial.run_id for trial in results.trials]
    search = partial(found_runs, uri, header["experiment_id"], limit=1)
    if ref == sweep["run_id"]:
        named = search(tags={}, run_ids=[ref])
    elif ref == "latest":
        named = search(tags={}, tagged=SWEEP_NAME)
    else:
        named = search(tags={SWEEP_NAME: ref})
    added = search(tags={"mlflow.parentRunId": sweep["run_id"]}, besides=run_ids)
    deleted = search(tags={}, run_ids=run_ids, only_deleted=True)
    check_reachable(uri)
    requests: list[Callable[[], Any]] = [partial(experiment_on_server, uri, settings.experiment)]
    requests += [partial(list, each) for each in (named, added, deleted)]
    with store_errors(uri, "searching runs"):
        experiment, *answers = run_concurrently(requests)
    same_experiment = experiment is not None and experiment["experiment_id"] == header["experiment_id"]
    return same_experiment and [[_identity(each) for each in found] for found in answers] == [[sweep], [], []]


def _identity(sweep: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that change when a sweep is resumed or renamed."""
    return {name: sweep[name] for name in ("run_id", "name", "status", "end_ms", "tags")}

"""Results of trials, read from the store."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kexp.errors import ConfigError, StoreError, UnknownNameError
from kexp.tracking import RunView, StoreSettings, find_sweep, search
from kexp.tracking.reading.histories import History, HistoryCache, read_histories
from kexp.tracking.reading.runs import artifact_text
from kexp.tracking.store.database.tables import chunks
from kexp.tracking.values import DERIVED_PARAMS, SYSTEM_PREFIX, param_value

__all__ = [
    "SHARED_TRIALS",
    "Histories",
    "History",
    "SweepResults",
    "TrialResult",
    "histories_of",
    "parameter_value",
    "read_sweep",
    "trial_result",
]

Histories = Callable[[Sequence[str]], Mapping[str, History]]
"""Reads the histories of run ids. It is called only for runs that are drawn, because a sweep may have ten thousand."""

SHARED_TRIALS = "sweep/shared_trials.txt"
"""An artifact of a sweep's parent run: the run ids, one a line, of trials that it took over from other sweeps."""

_SHARING = "kexp.sweep.done"  # the tag of a sweep's run that counts such trials


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    Attributes:
        run_id: MLflow's run id, or any unique text without MLflow.
        name: the run's name.
        state: FINISHED, PRUNED, FAILED, KILLED or RUNNING.
        params: the flat config, `{"optimizer.learning_rate": 0.01, "seed": 3}`; values, or text as in the store.
        metrics: the last value of each metric.
        reason: why the trial did not finish.
        fingerprint: equal for equal experiments; empty if unknown.
        duration_s: seconds; None if unknown.
        start_ms: milliseconds since 1970.
        overrides: those of a sweep's trial; empty for a single run.
    """

    run_id: str
    name: str
    state: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    reason: str = ""
    fingerprint: str = ""
    duration_s: float | None = None
    start_ms: int = 0
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class SweepResults:
    """The results of a sweep.

    Attributes:
        trials: oldest first.
        title: the sweep's name, or a description of the runs.
        parent: the sweep's own run; None if the trials have no common parent.
        objective: the metric that the sweep was configured with; None if it was not.
        direction: minimize or maximize; None if the sweep was not configured with a direction.
        folder: the sweep's folder with cached histories; None if it is not on this machine.
    """

    trials: list[TrialResult]
    title: str = ""
    parent: RunView | None = None
    objective: str | None = None
    direction: str | None = None
    folder: Path | None = None


def parameter_value(value: Any) -> Any:
    """Returns a parameter as a hashable value: numbers, true, false and null are parsed from text; a list is text."""
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    return _read(value if isinstance(value, str) else param_value(value))


@functools.lru_cache(maxsize=65536)  # ten thousand trials have a few hundred different values
def _read(text: str) -> Any:
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    if isinstance(parsed, (list, dict)):
        return json.dumps(parsed, ensure_ascii=False)
    return text if isinstance(parsed, str) else parsed


def trial_result(view: RunView) -> TrialResult:
    """Converts a run of the store to a trial result. The tag `kexp.state` marks PRUNED, which MLflow's status lacks."""
    return TrialResult(
        run_id=view.run_id,
        name=view.name,
        state=view.tags.get("kexp.state") or view.status,
        params={key: value for key, value in view.params.items() if key not in DERIVED_PARAMS},
        metrics={key: value for key, value in view.metrics.items() if not key.startswith(SYSTEM_PREFIX)},
        reason=view.tags.get("kexp.reason", ""),
        fingerprint=view.tags.get("kexp.fingerprint", ""),
        duration_s=view.duration_s,
        start_ms=view.start_ms,
        overrides=view.tags.get("kexp.overrides", "").splitlines(),
    )


def read_sweep(settings: StoreSettings, ref: str = "latest", *, shared: Iterable[str] | None = None) -> SweepResults:
    """Reads the trials of a sweep.

    Args:
        settings: the store and experiment.
        ref: a sweep's run id, a unique prefix of it, its name (the newest of that name), or `latest`. If there is no
            sweep yet, `latest` means all runs of the experiment. The id of a run that is not a sweep means only that
            run.
        shared: run ids of trials that this sweep took over from others; read from its run unless given.

    Raises:
        UnknownNameError: no sweep or run matches.
        ConfigError: the experiment is empty, or a prefix is not unique.
        StoreError: the store cannot be read.
    """
    parent = _parent(settings, ref)
    if parent is None:
        trials = [trial_result(view) for view in search(settings, newest_first=False)]
        if not trials:
            raise ConfigError(f"SWEEP: there is no run yet in experiment {settings.experiment!r}")
        return SweepResults(trials, f"all runs of experiment {settings.experiment}")
    trials = [trial_result(view) for view in search(settings, parent_run_id=parent.run_id, newest_first=False)]
    own = {trial.run_id for trial in trials}
    listed = shared if shared is not None else _listed(settings, parent) if _SHARING in parent.tags else ()
    trials += _trials_of(
        settings, [run_id for run_id in dict.fromkeys(listed) if run_id not in own and run_id.isalnum()]
    )
    if not trials and "kexp.sweep.name" not in parent.tags:
        return SweepResults([trial_result(parent)], parent.name)
    return SweepResults(
        trials,
        title=parent.tags.get("kexp.sweep.name") or parent.name,
        parent=parent,
        objective=parent.tags.get("kexp.sweep.objective") or None,
        direction=parent.tags.get("kexp.sweep.direction") or None,
        folder=HistoryCache.folder_of(parent.tags.get("kexp.folder", "")),
    )


def _parent(settings: StoreSettings, ref: str) -> RunView | None:
    """Returns the run that `ref` names, or None if `ref` is `latest` and there is no sweep yet."""
    try:
        return find_sweep(settings, ref)
    except ConfigError as error:
        if ref != "latest" or isinstance(error, UnknownNameError):
            raise
        return None


def _listed(settings: StoreSettings, parent: RunView) -> list[str]:
    """Returns the run ids of shared trials that the sweep's run lists."""
    try:
        return artifact_text(settings, parent.run_id, SHARED_TRIALS).split()
    except (StoreError, UnknownNameError):
        return []


def _trials_of(settings: StoreSettings, run_ids: Sequence[str]) -> Iterator[TrialResult]:
    for chunk in chunks(run_ids, 200):
        yield from map(trial_result, search(settings, run_ids=chunk))


def histories_of(settings: StoreSettings, folder: Path | None = None) -> Histories:
    """Returns a reader of histories from this store.

    Args:
        settings: the store.
        folder: the sweep's folder, in which histories read from a server are cached; None caches nothing.
    """
    cache = None if folder is None else HistoryCache(folder)
    return lambda run_ids: read_histories(settings, run_ids, cache)

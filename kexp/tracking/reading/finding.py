"""Finds a run or a sweep by name, id, prefix of an id, address, `latest` or `best:SWEEP`."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from kexp.errors import ConfigError, StoreError, UnknownNameError
from kexp.tracking.reading.runs import RunView, open_store, run_with_id, search
from kexp.tracking.settings import StoreSettings
from kexp.tracking.store.addresses import is_address, run_id_at

__all__ = ["BEST_TRIAL", "SWEEP_NAME", "ambiguous_error", "find_run", "find_sweep", "is_global_ref", "matching_runs"]

BEST_TRIAL = "kexp.sweep.best"
"""The tag of a sweep's run with the id of its best trial's run."""

SWEEP_NAME = "kexp.sweep.name"
"""The tag of a sweep's run with the sweep's name."""

_WHOLE_ID = re.compile(r"[0-9a-f]{32}")
_PART_OF_ID = re.compile(r"[0-9a-f]{1,31}")
_BEST = "best:"
_NAME = "mlflow.runName"  # MLflow stores the name as a tag too, which can be searched


def is_global_ref(ref: str) -> bool:
    """Returns whether `ref` identifies a run in the whole store, not in one experiment."""
    return is_address(ref) or _WHOLE_ID.fullmatch(ref) is not None


def find_run(settings: StoreSettings, ref: str, *, key: str = "RUN") -> RunView:
    """Finds a run.

    Args:
        settings: the store. A name, a prefix, `latest` and `best:SWEEP` are searched in its experiment, the others in
            the whole store.
        ref: an id, a unique prefix of one, a unique name, `latest`, `best:SWEEP` for the best trial of the sweep that
            `find_sweep` finds, or an address of MLflow's: `runs:/ID`, `models:/NAME/3`, `models:/NAME@champion`,
            `models:/m-ID`.
        key: the option or argument that holds `ref`, for messages.

    Raises:
        UnknownNameError: no run matches.
        ConfigError: several runs match, the sweep has no best trial, or the model is of another program.
        StoreError: the store cannot be read.
    """
    if is_address(ref):
        client, uri = open_store(settings)
        view = _with_full_id(settings, run_id_at(client, uri, ref, key), key)
        if ref.startswith("models:") and "kexp.fingerprint" not in view.tags:
            raise ConfigError(f"{key}: {ref} is a model of another program; mlflow.pyfunc.load_model loads it")
        return view
    if _WHOLE_ID.fullmatch(ref):
        return _with_full_id(settings, ref, key)
    if ref.startswith(_BEST):
        return _best_trial(settings, find_sweep(settings, ref.removeprefix(_BEST), key=key), key)
    if ref == "latest":
        found = list(search(settings, limit=1))
        if not found:
            raise ConfigError(f"{key}: there is no run yet in experiment {settings.experiment!r}")
        return found[0]
    matching = matching_runs(settings, ref)
    if not matching:
        suggestions = _some_ids(settings) if _PART_OF_ID.fullmatch(ref) else _some_names(settings)
        raise UnknownNameError(key, "run", ref, [*suggestions, "latest"])
    if len(matching) > 1:
        raise ambiguous_error(key, ref, matching)
    return matching[0]


def matching_runs(settings: StoreSettings, ref: str) -> list[RunView]:
    """Returns the runs of the settings' experiment with this name, or with an id that begins so."""
    named = list(search(settings, tags={_NAME: ref})) if ref else []
    return list({view.run_id: view for view in [*_with_prefix(settings, ref), *named]}.values())


def ambiguous_error(key: str, ref: str, matching: Sequence[RunView]) -> ConfigError:
    """Returns the error that lists several runs that match."""
    digits = 8 if any(view.name == ref for view in matching) else len(ref) + 6
    several = len({view.experiment for view in matching}) > 1
    shown = ", ".join(
        f"{view.run_id[:digits]} ({view.name}{f' in {view.experiment}' * several}, {_start_time(view)})"
        for view in sorted(matching, key=lambda view: -view.start_ms)[:10]
    )
    more = ", ..." * (len(matching) > 10)
    return ConfigError(f"{key}: {ref!r} {_ambiguity(ref, matching)}: {shown}{more}; give the beginning of one id")


def _ambiguity(ref: str, matching: Sequence[RunView]) -> str:
    """Returns how a reference matches several runs: by name, by the beginning of their ids, or both."""
    named = sum(view.name == ref for view in matching)
    begun = sum(view.run_id.startswith(ref) for view in matching)
    parts = [f"is the name of {named} runs" if named > 1 else "is the name of a run"] * bool(named)
    parts += [f"begins the ids of {begun} runs" if begun > 1 else "begins the id of a run"] * bool(begun)
    return " and ".join(parts) or "means the sweeps of several experiments"


def _start_time(view: RunView) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(view.start_ms / 1000))


def find_sweep(settings: StoreSettings, ref: str, *, key: str = "SWEEP") -> RunView:
    """Finds the run of a sweep, or another run.

    Args:
        settings: the store and experiment.
        ref: a sweep's name, of which the newest counts, `latest`, or anything that `find_run` takes.
        key: the option or argument that holds `ref`, for messages.

    Raises:
        UnknownNameError: no sweep and no run matches.
        ConfigError: there is no sweep yet, or several runs match.
        StoreError: the store cannot be read.
    """
    if ref == "latest":
        found = next(search(settings, tagged=SWEEP_NAME, limit=1), None)
        if found is None:
            raise ConfigError(f"{key}: there is no sweep yet in experiment {settings.experiment!r}")
        return found
    named = next(search(settings, tags={SWEEP_NAME: ref}, limit=1), None) if ref else None
    if named is not None:
        return named
    try:
        return find_run(settings, ref, key=key)
    except UnknownNameError:
        if is_address(ref):
            raise
        sweeps = search(settings, tagged=SWEEP_NAME, limit=50)
        names = dict.fromkeys(name for view in sweeps for name in (view.tags[SWEEP_NAME], view.run_id))
        raise UnknownNameError(key, "sweep or run", ref, [*names, "latest"]) from None


def _with_full_id(settings: StoreSettings, run_id: str, key: str) -> RunView:
    found = run_with_id(settings, run_id)
    if found is None:
        raise UnknownNameError(key, "run", run_id, _some_ids(settings))
    return found


def _best_trial(settings: StoreSettings, sweep: RunView, key: str) -> RunView:
    """Returns the run of a sweep's best trial.

    Raises:
        ConfigError: the run is no sweep, or has no best trial.
    """
    if SWEEP_NAME not in sweep.tags:
        raise ConfigError(f"{key}: {sweep.name} is a run and no sweep")
    run_id = sweep.tags.get(BEST_TRIAL)
    if not run_id:
        why = "it has not ended" if sweep.status == "RUNNING" else "its run names none"
        raise ConfigError(f"{key}: sweep {sweep.name} has no best trial: {why}")
    # A server gives new ids. The sweep does not know them if it ended before the server had its trials.
    return next(search(settings, tags={"kexp.record": run_id}, limit=1), None) or _with_full_id(settings, run_id, key)


def _with_prefix(settings: StoreSettings, prefix: str) -> list[RunView]:
    if not _PART_OF_ID.fullmatch(prefix):
        return []
    try:
        return list(search(settings, prefix=prefix))
    except StoreError:  # the server cannot search ids by pattern
        return [view for view in search(settings) if view.run_id.startswith(prefix)]


def _some_ids(settings: StoreSettings) -> list[str]:
    return [view.run_id for view in search(settings, limit=50)]


def _some_names(settings: StoreSettings) -> list[str]:
    return list(dict.fromkeys(view.name for view in search(settings, limit=50)))

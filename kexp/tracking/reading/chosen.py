"""The store and experiment that a user means: what is said, else what MLflow was told, else the usual ones."""

from __future__ import annotations

import os
import re
import sys

from kexp.errors import ConfigError, StoreError, without_passwords
from kexp.tracking.reading.finding import find_run
from kexp.tracking.settings import DEFAULT_EXPERIMENT, StoreSettings, database_file, resolve_uri
from kexp.tracking.store.client import check_reachable, client_for, store_errors

__all__ = ["chosen_store", "left_alone", "run_to_take_up"]

_NAME, _ID, _RUN = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"
_names: dict[tuple[str, str], str] = {}


def chosen_store(uri: str | None = None, experiment: str | None = None) -> StoreSettings:
    """Where to record or to look.

    Args:
        uri: the tracking URI; None as of `resolve_uri`.
        experiment: the MLflow experiment's name. None means what `mlflow.set_experiment` was called with, or
            `MLFLOW_EXPERIMENT_NAME`, or the one of `MLFLOW_EXPERIMENT_ID`, or else `kexp`.

    Raises:
        ConfigError: `MLFLOW_EXPERIMENT_ID` is of no experiment, or of another than `MLFLOW_EXPERIMENT_NAME`.
        StoreError: the store cannot be asked for that.
    """
    if experiment is not None:
        return StoreSettings(uri, experiment)
    name, number = os.environ.get(_NAME) or None, os.environ.get(_ID) or None
    set_in_python = getattr(sys.modules.get("mlflow.tracking.fluent"), "_active_experiment_id", None)
    if set_in_python is not None:
        return StoreSettings(uri, _name_of(uri, str(set_in_python), "mlflow.set_experiment"))
    if number is not None:
        named = _name_of(uri, number, _ID)
        if name is not None and name != named:
            raise ConfigError(
                f"{_ID}: {number} is the experiment {named!r}, but {_NAME} is {name!r}; unset one of them"
            )
        name = named
    return StoreSettings(uri, name or DEFAULT_EXPERIMENT)


def run_to_take_up(settings: StoreSettings, asked: str | None) -> str | None:
    """The run that `mlflow run` has opened for what it runs (`MLFLOW_RUN_ID`); None where there is none.

    As in MLflow, the first run takes it: the variable goes.

    Args:
        settings: the store.
        asked: the experiment that was asked for by name; None where none was.

    Raises:
        ConfigError: there is no such run, or it is in another experiment than the one that was asked for.
    """
    run_id = os.environ.pop(_RUN, None)
    if not run_id:
        return None
    if not re.fullmatch(r"[0-9a-f]{32}", run_id):
        raise ConfigError.at(_RUN, "must be the id of a run", run_id)
    view = find_run(settings, run_id, key=_RUN)
    if asked is not None and view.experiment != asked:
        raise ConfigError(
            f"tracking.experiment: must be {view.experiment!r}, where the run is that {_RUN} names, got {asked!r}"
        )
    return run_id


def left_alone() -> list[str]:
    """Return a sentence for each of MLflow's variables that a sweep ignores."""
    if os.environ.get(_RUN):
        return [f"{_RUN} is not taken up: a sweep has a run of its own, and one for each trial."]
    return []


def _name_of(uri: str | None, experiment_id: str, key: str) -> str:
    resolved = resolve_uri(StoreSettings(uri))
    if (resolved, experiment_id) not in _names:
        file = database_file(resolved)
        if file is not None and not file.is_file():
            if experiment_id == "0":
                return "Default"  # every store has it, once there is one
            raise ConfigError(f"{key}: there is no experiment {experiment_id}, as there is no store at {resolved}")
        check_reachable(resolved)
        try:
            with store_errors(resolved, "reading the experiment"):
                _names[resolved, experiment_id] = str(client_for(resolved).get_experiment(experiment_id).name)
        except StoreError as error:
            if getattr(error.__cause__, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                shown = without_passwords(resolved)
                raise ConfigError(f"{key}: there is no experiment {experiment_id!r} at {shown}") from None
            raise
    return _names[resolved, experiment_id]

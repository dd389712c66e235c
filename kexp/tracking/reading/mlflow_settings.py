"""Chooses the store, the experiment and the run: from arguments, else from MLflow's settings, else the defaults."""

from __future__ import annotations

import os
import re
import sys

from kexp.errors import ConfigError, StoreError, without_passwords
from kexp.tracking.reading.finding import find_run
from kexp.tracking.settings import DEFAULT_EXPERIMENT, StoreSettings, database_file, resolve_uri
from kexp.tracking.store.client import check_reachable, client_for, store_errors

__all__ = ["chosen_store", "ignored_variables", "run_from_environment"]

_NAME, _ID, _RUN = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"
_names: dict[tuple[str, str], str] = {}


def chosen_store(uri: str | None = None, experiment: str | None = None) -> StoreSettings:
    """Returns the store and experiment to record in or to read.

    Args:
        uri: the tracking URI; for None see `resolve_uri`.
        experiment: the MLflow experiment's name. None means the experiment of `mlflow.set_experiment`, else that of
            `MLFLOW_EXPERIMENT_NAME` or `MLFLOW_EXPERIMENT_ID`, else `kexp`.

    Raises:
        ConfigError: no experiment has the id `MLFLOW_EXPERIMENT_ID`, or its name is not `MLFLOW_EXPERIMENT_NAME`.
        StoreError: the store cannot be read.
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


def run_from_environment(settings: StoreSettings, experiment: str | None) -> str | None:
    """Returns the run that `mlflow run` opened for this process (`MLFLOW_RUN_ID`); None if there is none.

    As in MLflow, only the first run of the process continues it: the variable is removed.

    Args:
        settings: the store.
        experiment: the experiment that the user chose; None for no choice.

    Raises:
        ConfigError: the run does not exist, or is in another experiment than the chosen one.
    """
    run_id = os.environ.pop(_RUN, None)
    if not run_id:
        return None
    if not re.fullmatch(r"[0-9a-f]{32}", run_id):
        raise ConfigError.at(_RUN, "must be the id of a run", run_id)
    view = find_run(settings, run_id, key=_RUN)
    if experiment is not None and view.experiment != experiment:
        raise ConfigError(
            f"tracking.experiment: must be {view.experiment!r}, where the run is that {_RUN} names, got {experiment!r}"
        )
    return run_id


def ignored_variables() -> list[str]:
    """Returns a sentence for each of MLflow's variables that a sweep ignores."""
    if os.environ.get(_RUN):
        return [f"{_RUN} is not taken up: a sweep has a run of its own, and one for each trial."]
    return []


def _name_of(uri: str | None, experiment_id: str, key: str) -> str:
    """Returns the name of the experiment with this id. Cached.

    Raises:
        ConfigError: there is no such experiment; the message names `key`.
        StoreError: the store is away.
    """
    resolved = resolve_uri(StoreSettings(uri))
    if (resolved, experiment_id) not in _names:
        file = database_file(resolved)
        if file is not None and not file.is_file():
            if experiment_id == "0":
                return "Default"  # MLflow creates it with every store
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

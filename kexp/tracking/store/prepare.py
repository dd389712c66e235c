"""The store made ready once, before anything computes: it can be written, its schema exists, its experiment exists."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from kexp.errors import StoreError, first_line
from kexp.tracking.settings import StoreSettings, database_file, is_remote, resolve_uri
from kexp.tracking.store.client import check_reachable, client_for, load_mlflow, store_errors
from kexp.tracking.store.database import active_experiment, experiment_named
from kexp.tracking.store.locks import file_lock
from kexp.tracking.store.schema import create_or_migrate, is_current
from kexp.tracking.store.server_check import check_artifacts_reachable, experiment_on_server
from kexp.tracking.store.tables import open_database

__all__ = ["check_writable", "experiment_id", "prepare_store"]

_KIND = ("mlflow.experimentKind", "custom_model_development")
_ready: dict[tuple[str, str], str] = {}
_found: dict[tuple[str, str], str] = {}  # ids of experiments on servers, likewise
_preparing = threading.RLock()


def prepare_store(settings: StoreSettings) -> str:
    """Creates or migrates the store's schema, one process at a time, and its experiment.

    Returns:
        The id of the experiment.

    Raises:
        StoreError: the store cannot be reached or written; said at once, not after MLflow's minutes of retrying.
    """
    uri = resolve_uri(settings)
    with _preparing:
        if (uri, settings.experiment) not in _ready:
            check_reachable(settings)
            with _database_lock(uri), store_errors(uri, "opening the store"):
                found = _local_experiment(uri, settings.experiment)
                if found is None:
                    if not is_remote(uri):
                        load_mlflow()
                        create_or_migrate(uri)
                    found = _experiment(uri, settings)
                _ready[uri, settings.experiment] = found
        return _ready[uri, settings.experiment]


def experiment_id(settings: StoreSettings) -> str | None:
    """The id of the settings' experiment, or None where there is none yet."""
    uri = resolve_uri(settings)
    if (uri, settings.experiment) in _ready:
        return _ready[uri, settings.experiment]
    if is_remote(uri):
        if (uri, settings.experiment) not in _found:
            there = experiment_on_server(uri, settings.experiment)
            if there is None:
                return None
            _found[uri, settings.experiment] = str(there["experiment_id"])
        return _found[uri, settings.experiment]
    with store_errors(uri, "reading the experiment"):
        database = open_database(uri)
        if database is not None:
            return experiment_named(database, settings.experiment)
        found = client_for(uri).get_experiment_by_name(settings.experiment)
    return None if found is None else str(found.experiment_id)


def _local_experiment(uri: str, name: str) -> str | None:
    """Return the id of an experiment in a SQLite file, or None if MLflow is needed to make or to check something."""
    file = database_file(uri)
    if file is None or not is_current(file):
        return None
    database = open_database(uri)
    return None if database is None else active_experiment(database, name, _KIND[0])


def _experiment(uri: str, settings: StoreSettings) -> str:
    there = experiment_on_server(uri, settings.experiment) if is_remote(uri) else None
    if there is not None and there.get("lifecycle_stage") == "active":
        check_artifacts_reachable(uri, str(there["artifact_location"]))
        known = {tag["key"]: tag.get("value", "") for tag in there.get("tags", ())}
        _mark(uri, str(there["experiment_id"]), known)
        return str(there["experiment_id"])
    client = client_for(uri)
    is_new = is_remote(uri) and there is None
    found = None if is_new else client.get_experiment_by_name(settings.experiment)
    if found is None:
        from mlflow.exceptions import MlflowException

        try:
            made = client.create_experiment(settings.experiment, settings.artifact_location, dict([_KIND]))
            found = client.get_experiment(made)
        except MlflowException:  # another process was quicker
            found = client.get_experiment_by_name(settings.experiment)
            if found is None:
                raise
    if is_remote(uri):
        check_artifacts_reachable(uri, found.artifact_location)
    if found.lifecycle_stage != "active":
        raise StoreError(
            f"tracking.experiment: {settings.experiment!r} was deleted in MLflow; restore it or choose another name"
        )
    _mark(uri, str(found.experiment_id), found.tags)
    return str(found.experiment_id)


def _mark(uri: str, experiment: str, tags: Mapping[str, str]) -> None:
    """Has MLflow's page open an experiment on its training runs, unless somebody has said what it is for."""
    if _KIND[0] not in tags:
        with contextlib.suppress(Exception):  # an older server, or one that lets nobody change the experiment
            client_for(uri).set_experiment_tag(experiment, *_KIND)


@contextlib.contextmanager
def _database_lock(uri: str) -> Iterator[None]:
    """Holds the lock beside a SQLite file; anything else guards itself."""
    file = database_file(uri)
    if file is None:
        yield
        return
    check_writable(file)
    with file_lock(file.with_name(f".{file.name}.lock")):
        yield


def check_writable(file: Path) -> None:
    """That a database can be written where it is or would be.

    Raises:
        StoreError: it cannot; MLflow itself takes 101 s to notice.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and not os.access(file, os.W_OK):
            raise PermissionError(f"{file.name} is read-only")
        with tempfile.TemporaryFile(dir=file.parent):  # SQLite needs its journal beside the file
            pass
    except OSError as error:
        raise StoreError(
            f"tracking.uri: cannot write to {file.parent}: {error.strerror or first_line(error)}"
        ) from error

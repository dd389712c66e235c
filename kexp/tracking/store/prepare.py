"""Prepares a store before anything is computed: checks that it can be written, and creates tables and experiment."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kexp.errors import StoreError, first_line
from kexp.tracking.settings import StoreSettings, database_file, is_remote, resolve_uri
from kexp.tracking.store.client import check_reachable, client_for, load_mlflow, store_errors
from kexp.tracking.store.database.queries import experiment_named
from kexp.tracking.store.database.schema import create_or_migrate, is_current
from kexp.tracking.store.database.sqlite_file import find_or_create_experiment
from kexp.tracking.store.database.tables import open_database
from kexp.tracking.store.locks import file_lock
from kexp.tracking.store.server_check import check_artifacts_reachable, experiment_on_server

__all__ = ["check_writable", "experiment_id", "prepare_store", "prepare_without_mlflow"]

_KIND = ("mlflow.experimentKind", "custom_model_development")
_ready: dict[tuple[str, str], str] = {}  # address and name of a prepared experiment -> its id
_found: dict[tuple[str, str], str] = {}  # experiments on servers that were read, but not prepared
_preparing = threading.RLock()


def prepare_store(settings: StoreSettings) -> str:
    """Creates or migrates the store's tables, one process at a time, and creates its experiment.

    Returns:
        The id of the experiment.

    Raises:
        StoreError: the store cannot be reached or written. MLflow itself would try for minutes.
    """
    uri = resolve_uri(settings)
    with _preparing:
        if (uri, settings.experiment) not in _ready:
            check_reachable(uri)
            with _database_lock(uri), store_errors(uri, "opening the store"):
                _ready[uri, settings.experiment] = _prepared(uri, settings)
        return _ready[uri, settings.experiment]


def prepare_without_mlflow(settings: StoreSettings) -> str | None:
    """Prepares a SQLite file as `prepare_store` does.

    Returns:
        The id of the experiment; None if MLflow is needed, or the store is another.
    """
    uri = resolve_uri(settings)
    if database_file(uri) is None:
        return None
    with _preparing:
        if (uri, settings.experiment) not in _ready:
            with _database_lock(uri), store_errors(uri, "opening the store"):
                found = _in_file(uri, settings)
            if found is None:
                return None
            _ready[uri, settings.experiment] = found
        return _ready[uri, settings.experiment]


def experiment_id(settings: StoreSettings) -> str | None:
    """Returns the id of the settings' experiment, or None if it does not exist."""
    uri = resolve_uri(settings)
    cached = _ready.get((uri, settings.experiment)) or _found.get((uri, settings.experiment))
    if cached is not None:
        return cached
    with store_errors(uri, "reading the experiment"):
        found = _experiment(uri, settings.experiment)
    if found is None:
        return None
    if is_remote(uri):
        _found[uri, settings.experiment] = str(found["experiment_id"])
    return str(found["experiment_id"])


def _in_file(uri: str, settings: StoreSettings) -> str | None:
    file = database_file(uri)
    if file is None:
        return None
    return find_or_create_experiment(
        file, settings.experiment, dict([_KIND]), create=settings.artifact_location is None
    )


def _prepared(uri: str, settings: StoreSettings) -> str:
    """Creates what the store lacks, and returns the id of its experiment.

    Raises:
        StoreError: the experiment was deleted, or the store cannot be written.
    """
    in_file = _in_file(uri, settings)
    if in_file is not None:
        return in_file
    file = database_file(uri)
    if not is_remote(uri) and (file is None or not is_current(file)):
        load_mlflow()
        create_or_migrate(uri)
    found = _experiment(uri, settings.experiment) or _make_experiment(uri, settings)
    if is_remote(uri):
        check_artifacts_reachable(uri, found["artifact_location"])
    if found["lifecycle_stage"] != "active":
        raise StoreError(
            f"tracking.experiment: {settings.experiment!r} was deleted in MLflow; restore it or choose another name"
        )
    if _KIND[0] not in found["tags"]:  # without this tag, MLflow's page does not open on the training runs
        with contextlib.suppress(Exception):  # an older server, or the user may not change the experiment
            client_for(uri).set_experiment_tag(found["experiment_id"], *_KIND)
    return str(found["experiment_id"])


def _experiment(uri: str, name: str) -> dict[str, Any] | None:
    """Returns the experiment with this name, with the keys of MLflow's REST API; its tags are a mapping."""
    if is_remote(uri):
        found = experiment_on_server(uri, name)
        return found and {**found, "tags": {tag["key"]: tag.get("value", "") for tag in found.get("tags", ())}}
    database = open_database(uri)
    if database is not None:
        return experiment_named(database, name)
    found = client_for(uri).get_experiment_by_name(name)
    return None if found is None else dict(found)


def _make_experiment(uri: str, settings: StoreSettings) -> dict[str, Any]:
    from mlflow.exceptions import MlflowException

    try:
        client_for(uri).create_experiment(settings.experiment, settings.artifact_location, dict([_KIND]))
    except MlflowException:  # another process created it
        found = _experiment(uri, settings.experiment)
        if found is None:
            raise
        return found
    made = _experiment(uri, settings.experiment)
    assert made is not None
    return made


@contextlib.contextmanager
def _database_lock(uri: str) -> Iterator[None]:
    """Holds a lock beside a SQLite file; other stores have locks of their own."""
    file = database_file(uri)
    if file is None:
        yield
        return
    check_writable(file)
    with file_lock(file.with_name(f".{file.name}.lock")):
        yield


def check_writable(file: Path) -> None:
    """Checks that a SQLite database can be written or created.

    Raises:
        StoreError: it cannot be written. MLflow itself takes 101 s to notice.
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

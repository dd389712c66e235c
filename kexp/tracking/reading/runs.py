"""Reads runs, metrics and artifacts from a store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from kexp.errors import StoreError, UnknownNameError, without_passwords
from kexp.tracking.reading import on_server
from kexp.tracking.record.rows import artifact_path
from kexp.tracking.settings import StoreSettings, database_file, resolve_uri
from kexp.tracking.store.client import check_reachable, client_for, store_errors
from kexp.tracking.store.database import queries
from kexp.tracking.store.database.tables import Database, open_database
from kexp.tracking.store.prepare import experiment_id
from kexp.tracking.values import restored_metric

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "Point",
    "RunView",
    "artifact_text",
    "fetch_artifact",
    "list_artifacts",
    "metric_history",
    "open_store",
    "run_with_id",
    "search",
]


@dataclass(frozen=True)
class Point:
    """One point of a metric; `step` counts epochs from 1."""

    step: int
    value: float
    timestamp_ms: int


@dataclass(frozen=True)
class RunView:
    """A run in the store.

    Args:
        run_id, name, experiment: its id, its name, and the name of its experiment.
        status: RUNNING, FINISHED, FAILED or KILLED.
        params, tags: the logged texts.
        metrics: the last value of each metric.
        start_ms, end_ms: milliseconds since 1970; `end_ms` is None while it runs.
        model_ids: MLflow's ids of its logged models.
    """

    run_id: str
    name: str
    experiment: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    start_ms: int
    end_ms: int | None
    model_ids: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float | None:
        """The duration; None while it runs."""
        return None if self.end_ms is None else (self.end_ms - self.start_ms) / 1000

    @property
    def parent_run_id(self) -> str | None:
        """The id of the sweep's run, if the run is a trial; else None."""
        return self.tags.get("mlflow.parentRunId")


def run_with_id(settings: StoreSettings, run_id: str) -> RunView | None:
    """Returns the run with this id, in any experiment; None if there is none.

    Raises:
        StoreError: the store cannot be read.
    """
    if (database := _database(settings)) is not None:
        with store_errors(database.uri, "reading the run"):
            experiment = queries.experiment_of(database, run_id)
            if experiment is None:
                return None
            number, name = experiment
            (found,) = queries.found_runs(database, int(number), tags={}, run_ids=[run_id], deleted=True)
            return RunView(experiment=name, **found)
    from mlflow.exceptions import MlflowException

    client, uri = open_store(settings)
    try:
        with store_errors(uri, "reading the run"):
            run = client.get_run(run_id)
            name = client.get_experiment(run.info.experiment_id).name
            return RunView(experiment=name, **on_server.fields_of(run))
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, MlflowException) and cause.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def search(
    settings: StoreSettings,
    *,
    tags: Mapping[str, str] | None = None,
    status: str | None = None,
    parent_run_id: str | None = None,
    tagged: str | None = None,
    run_ids: Sequence[str] | None = None,
    prefix: str = "",
    limit: int | None = None,
    newest_first: bool = True,
) -> Iterator[RunView]:
    """Yields the runs of the settings' experiment that match, page by page, so that memory does not grow with them.

    Args:
        settings: the store and experiment.
        tags: tags that a run must have, with these values.
        status: RUNNING, FINISHED, FAILED or KILLED.
        parent_run_id: the run of a sweep, of which only the trials match.
        tagged: a tag that a run must have, with any value.
        run_ids: the only runs that match; at most 400.
        prefix: the beginning of a run's id, in hexadecimal digits.
        limit: the most runs to yield; None for all.
        newest_first: whether the newest run comes first, or the oldest.

    Raises:
        StoreError: the store cannot be read.
    """
    wanted = dict(tags or {})
    if parent_run_id is not None:
        wanted["mlflow.parentRunId"] = parent_run_id
    database, experiment = _database(settings), experiment_id(settings)
    if experiment is None:
        return
    uri = resolve_uri(settings)
    found_runs = (
        partial(on_server.found_runs, uri, experiment)
        if database is None
        else partial(queries.found_runs, database, int(experiment))
    )
    with store_errors(uri, "searching runs"):
        for found in found_runs(
            tags=wanted,
            tagged=tagged,
            run_ids=run_ids,
            prefix=prefix,
            status=status,
            limit=limit,
            newest_first=newest_first,
        ):
            yield RunView(experiment=settings.experiment, **found)


def metric_history(settings: StoreSettings, run_id: str, metric: str) -> list[Point]:
    """Returns all points of a metric, ordered by step.

    Raises:
        StoreError: the store cannot be read.
    """
    client, uri = open_store(settings)
    with store_errors(uri, "reading a metric"):
        points = client.get_metric_history(run_id, metric)
    return sorted(
        (Point(point.step, restored_metric(point.value), point.timestamp) for point in points),
        key=lambda point: (point.step, point.timestamp_ms),
    )


def list_artifacts(settings: StoreSettings, run_id: str, folder: str = "") -> list[str]:
    """Returns the sorted paths of all artifacts of a run, in and below the artifact folder `folder`.

    Raises:
        StoreError: `folder` leads out of the run's artifacts, or the store cannot be read.
    """
    client, uri = open_store(settings)
    below = str(artifact_path(folder)) if folder else None
    with store_errors(uri, "listing artifacts"):
        files: list[str] = []
        waiting = list(client.list_artifacts(run_id, below))
        while waiting:
            found = waiting.pop()
            if found.is_dir:
                waiting += client.list_artifacts(run_id, found.path)
            else:
                files.append(found.path)
    return sorted(files)


def artifact_text(settings: StoreSettings, run_id: str, path: str) -> str:
    """Returns the content of a text artifact; errors as of `fetch_artifact`."""
    with tempfile.TemporaryDirectory(prefix="kexp-") as folder:
        return fetch_artifact(settings, run_id, path, Path(folder)).read_text(encoding="utf-8")


def fetch_artifact(settings: StoreSettings, run_id: str, path: str, to: Path) -> Path:
    """Copies an artifact, a file or a folder, into the folder `to`.

    Args:
        settings: the store.
        run_id: the id of the run.
        path: the artifact's path, for example `saved/model.h5`.
        to: the folder; created if missing.

    Returns:
        The path of the copy.

    Raises:
        UnknownNameError: the run has no such artifact.
        StoreError: `path` leads out of the run's artifacts, or the store cannot be read.
    """
    inside = artifact_path(path)
    folder = "" if str(inside.parent) == "." else str(inside.parent)
    here = _artifacts_here(settings, run_id)
    if here is not None:
        entries = sorted((here / folder).iterdir()) if (here / folder).is_dir() else []
        available = [f"{folder}/{each.name}".lstrip("/") for each in entries]
    else:
        client, uri = open_store(settings)
        with store_errors(uri, "listing artifacts"):
            available = [found.path for found in client.list_artifacts(run_id, folder or None)]
    if str(inside) not in available:
        raise UnknownNameError("artifact", f"artifact of run {run_id}", path, available)
    to.mkdir(parents=True, exist_ok=True)
    with store_errors(resolve_uri(settings), "reading an artifact"):
        fetched = (
            _copied(here, inside, to)
            if here is not None
            else Path(client.download_artifacts(run_id, str(inside), str(to)))
        )
    if not fetched.resolve().is_relative_to(to.resolve()):
        raise StoreError(f"{path!r} was fetched to {fetched}, which is outside of {to}")
    return fetched


def _artifacts_here(settings: StoreSettings, run_id: str) -> Path | None:
    """Returns the folder of a run's artifacts, or None if only MLflow can read them."""
    database = _database(settings)
    if database is None:
        return None
    with store_errors(database.uri, "reading an artifact"):
        return queries.artifact_folder(database, run_id)


def _copied(folder: Path, inside: PurePath, to: Path) -> Path:
    """Copies an artifact from a folder of this machine, under its last name, as MLflow does."""
    target = to / inside.name
    if (folder / inside).is_dir():
        shutil.copytree(folder / inside, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(folder / inside, target)
    return target


def open_store(settings: StoreSettings) -> tuple[MlflowClient, str]:
    """Returns a client of an existing store, and the store's address."""
    uri = _existing_uri(settings)
    with store_errors(uri, "opening the store"):
        return client_for(uri), uri


def _database(settings: StoreSettings) -> Database | None:
    """Returns the database of an existing store, or None if the store is a server."""
    uri = _existing_uri(settings)
    with store_errors(uri, "opening the store"):
        return open_database(uri)


def _existing_uri(settings: StoreSettings) -> str:
    """Returns the address of the store, which exists.

    Raises:
        StoreError: it does not, or cannot be reached.
    """
    uri = resolve_uri(settings)
    file = database_file(uri)
    if file is not None and not file.is_file():
        raise StoreError(f"tracking.uri: there is no tracking store at {without_passwords(uri)}")
    check_reachable(uri)
    return uri

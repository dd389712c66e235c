"""Uploads the texts and files of a row as artifacts of the run."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kexp.errors import StoreError
from kexp.system.disk import needing
from kexp.system.whole_files import copy_whole, whole_file
from kexp.tracking.record.rows import Row, artifact_path
from kexp.tracking.store.concurrent import MAX_CONNECTIONS, run_concurrently

__all__ = ["check_files", "repository_of", "send_artifacts", "send_folder"]

_UPLOADS = 2 * MAX_CONNECTIONS  # the most uploads at the same time, in all threads
_upload_slots = threading.BoundedSemaphore(_UPLOADS)


def repository_of(uri: str, tracking_uri: str | None = None) -> Any:
    """Returns MLflow's repository of the artifacts at an address. It makes no request."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri, tracking_uri=tracking_uri)


def check_files(row: Row, folder: Path = Path()) -> None:
    """Checks that the files of a row exist. Called before any part of the row is sent.

    Raises:
        StoreError: a file is missing.
    """
    for file, inside in row.get("files", ()):
        if not (folder / file).exists():
            raise StoreError(f"{file}: the file is gone, so it cannot become the artifact {_artifact(inside, file)}")


def send_artifacts(repository: Any, row: Row, folder: Path = Path()) -> None:
    """Sends the texts and files of a row, and replaces artifacts of the same paths.

    Args:
        repository: MLflow's repository of the run's artifacts.
        row: a row of the run.
        folder: the folder that relative paths of files are relative to.

    Raises:
        StoreError: a file is missing.
    """
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    texts, files = row.get("texts", {}), row.get("files", ())
    check_files(row, folder)
    if isinstance(repository, LocalArtifactRepository):  # without the temporary copy below, which would double the time
        place = Path(repository.artifact_dir)
        _write(texts, place)
        for file, inside in files:
            copy_whole(folder / file, place / _artifact(inside, file))
        return
    with tempfile.TemporaryDirectory(prefix="kexp-") as name:
        _write(texts, Path(name))
        sources = [(folder / file, inside) for file, inside in files]
        named = [(source, _artifact(inside, source.name) if source.is_dir() else inside) for source, inside in sources]
        _send(repository, [(Path(name), ""), *named])


def send_folder(repository: Any, folder: Path) -> None:
    """Sends all files of a folder to the top of an artifact repository.

    Raises:
        Exception: the first failure, after all files have been tried.
    """
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    if isinstance(repository, LocalArtifactRepository):
        copy_whole(folder, Path(repository.artifact_dir))
    else:
        _send(repository, [(folder, "")])


def _send(repository: Any, sources: Sequence[tuple[Path, str]]) -> None:
    """Sends files and the files of folders, each into an artifact folder. A server gets several at the same time."""
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    several = isinstance(repository, HttpArtifactRepository)  # for a cloud, MLflow itself sends several at a time

    def send(source: Path, inside: str) -> None:
        with _upload_slots if several else contextlib.nullcontext():
            (repository.log_artifacts if source.is_dir() else repository.log_artifact)(str(source), inside or None)

    parts = [
        part for source in sources for part in (_files_of(*source) if several and source[0].is_dir() else [source])
    ]
    run_concurrently([partial(send, *part) for part in parts], _UPLOADS if several else 1)


def _files_of(folder: Path, inside: str) -> list[tuple[Path, str]]:
    """Returns the files in and below a folder, each with its artifact folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [(file, "/".join([*filter(None, [inside]), *file.relative_to(folder).parent.parts])) for file in files]


def _write(texts: dict[str, str], folder: Path) -> None:
    made = set[Path]()
    for path, text in texts.items():
        file, content = folder / artifact_path(path), text.encode()
        with needing(len(content)):
            if file.parent not in made:
                file.parent.mkdir(parents=True, exist_ok=True)
                made.add(file.parent)
            with whole_file(file) as fresh:
                fresh.write_bytes(content)


def _artifact(folder: str, file: str) -> str:
    """Returns the path of the artifact that a file becomes."""
    return f"{folder}/{Path(file).name}".removeprefix("/")

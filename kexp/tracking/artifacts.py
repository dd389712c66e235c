"""A row's texts and files, into the place where MLflow keeps the run's artifacts."""

from __future__ import annotations

import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kexp.errors import StoreError
from kexp.tracking.client import AT_ONCE
from kexp.tracking.rows import Row, artifact_path

__all__ = ["check_files", "repository_of", "send_artifacts", "send_folder"]

_turn = threading.BoundedSemaphore(AT_ONCE)  # uploads to servers at one time, whoever makes them


def repository_of(uri: str, tracking_uri: str | None = None) -> Any:
    """MLflow's access to the artifacts at an address; whoever has the run knows it without another request."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri, tracking_uri=tracking_uri)


def check_files(row: Row, folder: Path = Path()) -> None:
    """Says that a file is missing before anything of its row is sent.

    Raises:
        StoreError: a file is gone.
    """
    for file, inside in row.get("files", ()):
        if not (folder / file).exists():
            raise StoreError(f"{file}: the file is gone, so it cannot become the artifact {_artifact(inside, file)}")


def send_artifacts(repository: Any, row: Row, folder: Path = Path()) -> None:
    """Sends the texts and files of a row; those that are there already are replaced.

    Args:
        repository: MLflow's access to the run's artifacts.
        row: of the run.
        folder: what relative files are relative to.

    Raises:
        StoreError: a file is gone.
    """
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    texts, files = row.get("texts", {}), row.get("files", ())
    check_files(row, folder)
    if isinstance(repository, LocalArtifactRepository):  # in place: a copy of a copy would cost a sweep as much again
        place = Path(repository.artifact_dir)
        _write(texts, place)
        for file, inside in files:
            source, target = folder / file, place / _artifact(inside, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy2(source, target)
        return
    if texts:
        with tempfile.TemporaryDirectory(prefix="kexp-") as name:
            _write(texts, Path(name))
            send_folder(repository, Path(name))
    for file, inside in files:
        source = folder / file
        if source.is_dir():
            send_folder(repository, source, _artifact(inside, file))
        else:
            repository.log_artifact(str(source), inside or None)


def send_folder(repository: Any, folder: Path, inside: str = "") -> None:
    """Sends all files of a folder, to a server side by side: each is a request of its own.

    Args:
        repository: MLflow's access to the artifacts.
        folder: what is sent.
        inside: the artifact folder that takes its files; the top unless given.

    Raises:
        Exception: the first failure, once every file was tried.
    """
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    if not isinstance(repository, HttpArtifactRepository):  # of a cloud's, MLflow's own way is side by side already
        repository.log_artifacts(str(folder), inside or None)
        return
    files = sorted(file for file in folder.rglob("*") if file.is_file())

    def send(file: Path) -> None:
        place = "/".join([*filter(None, [inside]), *file.relative_to(folder).parent.parts])
        with _turn:
            repository.log_artifact(str(file), place or None)

    with ThreadPoolExecutor(min(AT_ONCE, len(files) or 1), thread_name_prefix="kexp-upload") as pool:
        sending = [pool.submit(send, file) for file in files]
    for each in sending:
        each.result()


def _write(texts: dict[str, str], folder: Path) -> None:
    made = set[Path]()
    for path, text in texts.items():
        file = folder / artifact_path(path)
        if file.parent not in made:
            file.parent.mkdir(parents=True, exist_ok=True)
            made.add(file.parent)
        file.write_text(text, encoding="utf-8")


def _artifact(folder: str, file: str) -> str:
    return f"{folder}/{Path(file).name}".removeprefix("/")

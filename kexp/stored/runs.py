"""A run in the store, and the files it left."""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kexp.errors import ConfigError, LoadError, UnknownNameError
from kexp.tracking import RunView, StoreSettings, chosen_store, fetch_artifact, find_run, list_artifacts, resolve_uri
from kexp.tracking.client import client_for, store_errors
from kexp.tracking.common import place_of_common
from kexp.tracking.finding import is_run_of_all
from kexp.tracking.server_check import check_usable
from kexp.tracking.settings import is_remote

__all__ = ["StoredRun", "experiments", "find"]

_LATEST = ("latest", "best:latest")


@dataclass(frozen=True)
class StoredRun:
    """A run that the store has.

    Attributes:
        settings: the store.
        view: the run.
        trusted: whether its files are believed to be our own. Of others no code is run: no references in the config,
            and only formats that can be read without running them.
    """

    settings: StoreSettings
    view: RunView
    trusted: bool

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"run {self.view.run_id[:8]} ({self.view.name})"

    def text(self, path: str) -> str | None:
        """A text among the run's artifacts, or None where it has none of that name.

        Of a trial it may be kept among the artifacts of its sweep.
        """
        run_id, place = self._home(path)
        with tempfile.TemporaryDirectory(prefix="kexp-") as folder:
            try:
                return fetch_artifact(self.settings, run_id, place, Path(folder)).read_text(encoding="utf-8")
            except UnknownNameError:
                return None

    def files(self, folder: str) -> list[str]:
        """The paths of the texts in a folder of the run's artifacts; of a trial it may be its sweep that keeps them."""
        run_id, place = self._home(folder)
        return [folder + path.removeprefix(place) for path in list_artifacts(self.settings, run_id, place)]

    def _home(self, path: str) -> tuple[str, str]:
        """The run that keeps a text or a folder, and its path there."""
        common, sweep = place_of_common(self.view.tags, path), self.view.parent_run_id
        return (self.view.run_id, path) if common is None or sweep is None else (sweep, common)

    def json(self, path: str) -> Any:
        """A JSON artifact, or None where it has none of that name.

        Raises:
            LoadError: it is no JSON.
        """
        text = self.text(path)
        try:
            return None if text is None else json.loads(text)
        except ValueError as error:
            raise LoadError(f"{self.label}: {path} is not JSON: {error}") from error


def find(
    ref: str, *, tracking_uri: str | None = None, experiment: str | None = None, trusted: bool | None = None
) -> StoredRun:
    """The run that `ref` means: an id, a unique prefix of one, `latest`, `best:SWEEP` or an address.

    Args:
        ref: what the user gave; see `kexp.tracking.find_run`.
        tracking_uri: the store; by default `MLFLOW_TRACKING_URI`, or `sqlite:///mlflow.db` in the working directory.
        experiment: where to look for a prefix, the latest or a sweep; all experiments unless given.
        trusted: whether the run's files are believed; by default those of a store on this machine are, those of a
            server are not, because whoever can write there can have made them.

    Raises:
        UnknownNameError: there is no such run.
        ConfigError: several runs begin so, or there is none yet.
        StoreError: the store cannot be read.
    """
    settings = chosen_store(resolve_uri(StoreSettings(uri=tracking_uri)), experiment)
    believed = not is_remote(resolve_uri(settings)) if trusted is None else trusted
    if experiment is not None or is_run_of_all(ref):
        return StoredRun(settings, find_run(settings, ref), believed)
    found = _in_any_experiment(settings, ref)
    if not found:
        return StoredRun(settings, find_run(settings, ref), believed)  # says what there is instead
    if len(found) > 1 and ref not in _LATEST:
        shown = ", ".join(f"{view.run_id[: len(ref) + 6]} ({view.name} in {view.experiment})" for view in found)
        raise ConfigError(f"RUN: {ref!r} begins the ids of {len(found)} runs: {shown}")
    return StoredRun(settings, max(found, key=lambda view: view.start_ms), believed)


def experiments(settings: StoreSettings) -> list[str]:
    """The names of all experiments in a store that exists."""
    uri = resolve_uri(settings)
    check_usable(uri)
    with store_errors(uri, "listing experiments"):
        found = client_for(uri).search_experiments()
    return [each.name for each in found]


def _in_any_experiment(settings: StoreSettings, ref: str) -> list[RunView]:
    with contextlib.suppress(ConfigError):
        find_run(settings, ref)  # no store, no server: said once, before a client would make one
    found = []
    for name in experiments(settings):
        try:
            found.append(find_run(StoreSettings(uri=settings.uri, experiment=name), ref))
        except UnknownNameError:
            continue
        except ConfigError:
            if ref not in _LATEST:  # several in this experiment alone
                raise
    return found

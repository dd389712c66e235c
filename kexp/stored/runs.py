"""Finds a run in the store, and reads its artifacts."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any

from kexp.errors import ConfigError, LoadError, UnknownNameError
from kexp.tracking import RunView, StoreSettings, chosen_store, find_run, list_artifacts, resolve_uri
from kexp.tracking.reading.finding import ambiguous_error, is_global_ref, matching_runs
from kexp.tracking.reading.runs import artifact_text
from kexp.tracking.record.shared_texts import shared_text_path, text_in_tags
from kexp.tracking.settings import is_remote
from kexp.tracking.store.client import client_for, store_errors
from kexp.tracking.store.server_check import check_usable

__all__ = ["StoredRun", "experiments", "find"]

_LATEST = ("latest", "best:latest")


@dataclass(frozen=True)
class StoredRun:
    """A run in the store.

    Attributes:
        settings: the store.
        view: the run.
        trusted: whether its files are trusted. Of an untrusted run, no code is executed: references in its config are
            refused, and only formats that can be read without executing them are loaded.
    """

    settings: StoreSettings
    view: RunView
    trusted: bool

    @property
    def label(self) -> str:
        """The run's name in messages."""
        return f"run {self.view.run_id[:8]} ({self.view.name})"

    def text(self, path: str) -> str | None:
        """Returns the content of a text artifact; None if it does not exist.

        The artifact of a trial may be stored with its sweep, or as a tag.
        """
        if (text := text_in_tags(self.view.tags, path)) is not None:
            return text
        run_id, place = self._home(path)
        try:
            return artifact_text(self.settings, run_id, place)
        except UnknownNameError:
            return None

    def files(self, folder: str) -> list[str]:
        """Returns the paths of the text artifacts in a folder, which may be stored with the trial's sweep."""
        run_id, place = self._home(folder)
        return [folder + path.removeprefix(place) for path in list_artifacts(self.settings, run_id, place)]

    def _home(self, path: str) -> tuple[str, str]:
        """Returns the id of the run that stores an artifact, and the artifact's path in that run."""
        common, sweep = shared_text_path(self.view.tags, path), self.view.parent_run_id
        return (self.view.run_id, path) if common is None or sweep is None else (sweep, common)

    def json(self, path: str) -> Any:
        """Returns the content of a JSON artifact; None if it does not exist.

        Raises:
            LoadError: it is not valid JSON.
        """
        text = self.text(path)
        try:
            return None if text is None else json.loads(text)
        except ValueError as error:
            raise LoadError(f"{self.label}: {path} is not JSON: {error}") from error


def find(
    ref: str, *, tracking_uri: str | None = None, experiment: str | None = None, trusted: bool | None = None
) -> StoredRun:
    """Finds a run.

    Args:
        ref: an id, a unique prefix of one, a unique name, `latest`, `best:SWEEP` or a URI; see
            `kexp.tracking.find_run`.
        tracking_uri: the store; by default `MLFLOW_TRACKING_URI`, or `sqlite:///mlflow.db` in the working directory.
        experiment: the experiment to search for a name, a prefix, the latest run or a sweep; all of them unless given.
        trusted: whether to trust the run's files; by default those of a store on this machine are trusted, and those of
            a server are not, because others may have written them.

    Raises:
        UnknownNameError: no run matches.
        ConfigError: several runs have the name, or ids that begin with the prefix; or there are no runs.
        StoreError: the store cannot be read.
    """
    settings = chosen_store(resolve_uri(StoreSettings(uri=tracking_uri)), experiment)
    trusts = not is_remote(resolve_uri(settings)) if trusted is None else trusted
    if experiment is not None or is_global_ref(ref):
        return StoredRun(settings, find_run(settings, ref), trusts)
    found = _in_any_experiment(settings, ref)
    if not found:
        return StoredRun(settings, find_run(settings, ref), trusts)  # raises an error that lists the alternatives
    if len(found) > 1 and ref not in _LATEST:
        raise ambiguous_error("RUN", ref, found)
    return StoredRun(settings, max(found, key=lambda view: view.start_ms), trusts)


def experiments(settings: StoreSettings) -> list[str]:
    """Returns the names of all experiments in an existing store."""
    uri = resolve_uri(settings)
    check_usable(uri)
    with store_errors(uri, "listing experiments"):
        found = client_for(uri).search_experiments()
    return [each.name for each in found]


def _in_any_experiment(settings: StoreSettings, ref: str) -> list[RunView]:
    """Returns the runs of all experiments of a store that a reference may mean."""
    with contextlib.suppress(ConfigError):
        find_run(settings, ref)  # raises if there is no store or server, before a client would create a store
    found: list[RunView] = []
    for name in experiments(settings):
        store = StoreSettings(uri=settings.uri, experiment=name)
        try:
            one_each = ref in _LATEST or ref.startswith("best:")
            found += [find_run(store, ref)] if one_each else matching_runs(store, ref)
        except UnknownNameError:
            continue
        except ConfigError:
            if ref not in _LATEST:  # a sweep without a best trial
                raise
    return found

"""Checks that an MLflow server answers, accepts the user, and stores artifacts where this machine can write."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from kexp.errors import ConfigError, StoreError, without_passwords
from kexp.tracking.settings import DEFAULT_EXPERIMENT, is_remote
from kexp.tracking.store.client import check_reachable, client_for, reason_of
from kexp.tracking.store.plain_http import request_without_mlflow

__all__ = ["check_artifacts_reachable", "check_usable", "experiment_on_server"]

_REFUSED = (401, 403)
_PATIENCE_S = 5  # before anything is computed; later a server is given more time
_PATH = "/api/2.0/mlflow/experiments/get-by-name"


_CLOUDS = {
    "s3": "boto3",
    "gs": "google.cloud.storage",
    "wasbs": "azure.storage.blob",
    "abfss": "azure.storage.filedatalake",
}


def check_usable(uri: str) -> None:
    """Checks that a store can be used.

    Raises:
        ConfigError: the server refuses the user, or is no MLflow server.
        StoreError: it does not answer, or answers with an error.
    """
    check_reachable(uri)
    if is_remote(uri):
        experiment_on_server(uri, DEFAULT_EXPERIMENT)


def check_artifacts_reachable(uri: str, location: str) -> None:
    """Checks that the artifacts of an experiment can be written from this machine.

    Args:
        uri: the server's address.
        location: the experiment's `artifact_location`.

    Raises:
        ConfigError: the location is a folder of another machine, or needs a package that is not installed.
    """
    scheme, _, path = location.rpartition(":")
    place = f"tracking.uri: the server at {without_passwords(uri)} keeps artifacts in {location}"
    if scheme in ("", "file"):
        folder = Path(unquote(path.removeprefix("//")))
        existing = next((each for each in (folder, *folder.parents[:2]) if each.is_dir()), None)
        if existing is None or not os.access(existing, os.W_OK):
            raise ConfigError(
                f"{place}, which cannot be written from here; start it with --artifacts-destination, so that it takes "
                "files itself"
            )
    cloud = location.partition("://")[0]
    if cloud in _CLOUDS and not _installed(_CLOUDS[cloud]):
        raise ConfigError(f"{place}, for which the package of {_CLOUDS[cloud]} is to be installed")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False


def experiment_on_server(uri: str, name: str) -> dict[str, Any] | None:
    """Returns the experiment with this name as the server describes it, or None if there is none.

    Raises:
        ConfigError: the server refuses the user, or is no MLflow server.
        StoreError: it does not answer, or answers with an error.
    """
    query = {"experiment_name": name}
    found = request_without_mlflow(uri, "GET", "experiments/get-by-name", query, _PATIENCE_S) or {}
    if isinstance(found.get("experiment"), dict):
        return dict(found["experiment"])
    server = f"tracking.uri: the server at {without_passwords(uri)}"
    credentials = client_for(uri)._tracking_client.store.get_host_creds()
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(
            credentials, _PATH, "GET", timeout=_PATIENCE_S, max_retries=1, raise_on_status=False, params=query
        )
    except Exception as error:
        raise StoreError(f"{server} cannot be used: {reason_of(error, _PATIENCE_S)}") from error
    if answer.status_code == 403 and "Invalid Host header" in answer.text:
        raise ConfigError(
            f"{server} serves no such host name; whoever starts it names those of its own by --allowed-hosts"
        )
    if answer.status_code in _REFUSED:
        raise ConfigError(
            f"{server} refuses the user or the password ({answer.status_code}); set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    try:
        content = answer.json()
    except ValueError:
        content = None
    if answer.status_code == 200 and isinstance(content, dict) and "experiment" in content:
        return dict(content["experiment"])
    if isinstance(content, dict) and content.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
        return None
    if answer.status_code >= 500 or answer.status_code == 429:
        raise StoreError(f"{server} answers with an error ({answer.status_code}); try again later")
    raise ConfigError(f"{server} is no MLflow server: it answers {_PATH} with status {answer.status_code}")

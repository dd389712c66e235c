"""The user's tracking settings, and the address of the store that results from them."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kexp.errors import ConfigError, without_passwords
from kexp.system.passwords import hide_password

__all__ = [
    "DEFAULT_EXPERIMENT",
    "StoreSettings",
    "command_line",
    "database_file",
    "is_remote",
    "resolve_uri",
]

DEFAULT_EXPERIMENT = "kexp"
_DEFAULT_URI = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"
# The schemes of MLflow's stores. That of a database may have a driver: `postgresql+psycopg2`.
_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "file", "databricks", "databricks-uc", "uc")


@dataclass(frozen=True)
class StoreSettings:
    """The store and experiment in which runs are recorded (config node `tracking`).

    Args:
        uri: the MLflow tracking URI; None means `MLFLOW_TRACKING_URI`, or else MLflow's own default,
            `sqlite:///mlflow.db` in the working directory.
        experiment: the MLflow experiment that runs belong to.
        artifact_location: the place of a new experiment's artifacts; None means MLflow's default for the store.
        flush_interval_s: the longest time that rows wait before they are sent, about; > 0.
        heartbeat_interval_s: the time between two heartbeats of a run in progress; > 0.
        end_timeout_s: how long the end of a run waits for a store that is away; >= 0.
    """

    uri: str | None = None
    experiment: str = DEFAULT_EXPERIMENT
    artifact_location: str | None = None
    flush_interval_s: float = 1.0
    heartbeat_interval_s: float = 30.0
    end_timeout_s: float = 60.0


def resolve_uri(settings: StoreSettings) -> str:
    """Returns the tracking URI of the settings. A relative SQLite path becomes absolute, a password is hidden.

    Raises:
        ConfigError: MLflow has no store for such a URI.
    """
    uri = settings.uri or _uri_set_in_python() or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_URI
    key = "tracking.uri" if settings.uri else "MLFLOW_TRACKING_URI"
    _check_scheme(key, uri)
    if is_remote(uri):
        _check_address(key, uri)
    return hide_password(_absolute(_at_home(uri)))


def _at_home(uri: str) -> str:
    """Replaces a leading `~` by the home folder: a shell does not do that after an equals sign."""
    scheme = _SQLITE if uri.startswith(f"{_SQLITE}~") else ""
    path = uri.removeprefix(scheme)
    return scheme + os.path.expanduser(path) if path.startswith("~") else uri


def command_line(*words: str, store: StoreSettings | None = None, experiment: bool = False) -> str:
    """Returns a kexp command that the user can copy and run in this folder.

    Args:
        words: the words after `kexp`.
        store: the store that the command needs, which is added if it is not this folder's default. If
            `MLFLOW_TRACKING_URI` has its address with a password, the address is left out.
        experiment: whether the command needs the experiment, which is added if it is not the default.
    """
    line = ["kexp", *words]
    if store is not None:
        uri, environment_uri = resolve_uri(store), os.environ.get("MLFLOW_TRACKING_URI")
        has_password = (
            without_passwords(environment_uri or "") != environment_uri
            and resolve_uri(StoreSettings(environment_uri)) == uri
        )
        if (environment_uri or uri != _absolute(_DEFAULT_URI)) and not has_password:
            line += ["--uri", uri]
        variables = {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & set(os.environ)
        if experiment and (variables or store.experiment != DEFAULT_EXPERIMENT):
            line += ["--experiment", store.experiment]
    return shlex.join(line)


def _absolute(uri: str) -> str:
    file = database_file(uri)
    return uri if file is None else _SQLITE + str(file.absolute())


def database_file(uri: str) -> Path | None:
    """Returns the file of a SQLite URI, or None for any other store."""
    if not uri.startswith(_SQLITE):
        return None
    path = unquote(uri[len(_SQLITE) :].split("?", 1)[0])
    return Path(path) if path and path != ":memory:" else None


def is_remote(uri: str) -> bool:
    """Returns whether the store is an MLflow server."""
    return uri.startswith(("http://", "https://"))


def _check_scheme(key: str, uri: str) -> None:
    scheme, given, _ = uri.partition(":")
    if not given or scheme.partition("+")[0].lower() in _SCHEMES or _of_plugin(scheme):
        return
    raise ConfigError.at(key, f"must begin with one of {', '.join(_SCHEMES)}", without_passwords(uri))


def _check_address(key: str, uri: str) -> None:
    """Refuses a server's address without a host. The message does not show it, because it may contain a password."""
    try:
        parts = urlsplit(uri)
        named = bool(parts.hostname) and (parts.port or 1) > 0
        unquote(f"{parts.username}{parts.password}").encode("latin-1")  # as MLflow's HTTP library does
    except UnicodeEncodeError:
        raise ConfigError(
            f"{key}: holds a user or a password with a letter that an address cannot carry; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        ) from None
    except ValueError:
        named = False
    if not named or ("@" in uri and "@" not in parts.netloc):
        raise ConfigError(
            f"{key}: must be the address of a server, http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; in a user "
            "or a password, write %2F for /, %3F for ?, %23 for #, %25 for %, %3A for : and %40 for @"
        )


def _of_plugin(scheme: str) -> bool:
    """Returns whether an installed package adds such stores to MLflow."""
    from importlib.metadata import entry_points

    return scheme in {each.name for each in entry_points(group="mlflow.tracking_store")}


def _uri_set_in_python() -> str | None:
    """Returns the URI of `mlflow.set_tracking_uri`, if the user's code called it."""
    mlflow = sys.modules.get("mlflow")
    if mlflow is not None and hasattr(mlflow, "is_tracking_uri_set"):
        return str(mlflow.get_tracking_uri()) if mlflow.is_tracking_uri_set() else None
    return None

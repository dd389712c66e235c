"""Resolves MLflow's addresses: `runs:/ID`, `models:/NAME/3`, `models:/NAME@alias`, `models:/m-ID`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError, StoreError, UnknownNameError, suggestion, without_passwords
from kexp.tracking.store.client import store_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["is_address", "none_if_missing", "quoted", "run_id_at"]

_RUN = re.compile(r"runs:/+([0-9a-f]{32})(?:/.*)?")
_LOGGED = re.compile(r"models:/+(m-[0-9a-f]{32})")
_ALIAS = re.compile(r"models:/+([^/@:]+)@([^/@]+)")
_VERSION = re.compile(r"models:/+([^/@:]+)/([^/@]+)")
_FORMS = "runs:/ID, models:/NAME/VERSION, models:/NAME@ALIAS or models:/m-ID"
_NOTHING_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def is_address(ref: str) -> bool:
    """Returns whether `ref` has the form of an address of MLflow's."""
    return ref.startswith(("runs:", "models:"))


def run_id_at(client: MlflowClient, uri: str, address: str, key: str) -> str:
    """Returns the id of the run that an address names, or of the run that made the model that it names.

    Args:
        client: MLflow's client of the store and of its registry.
        uri: the store's address, for messages.
        address: an address, see the module.
        key: the option or argument that holds the address, for messages.

    Raises:
        ConfigError: the address is not valid, the registry has no such model, version or alias, or no run made it.
        StoreError: the store cannot be read, or is a server without aliases.
    """
    if found := _RUN.fullmatch(address):
        return found[1]
    if found := _LOGGED.fullmatch(address):
        model_id = found[1]
        logged = none_if_missing(uri, "reading the model", lambda: client.get_logged_model(model_id))
        if logged is None:
            raise UnknownNameError(key, "logged model", model_id, ())
        return _of_run(address, key, logged.source_run_id)
    if found := _ALIAS.fullmatch(address) or _VERSION.fullmatch(address):
        version = _model_version(client, uri, key, found[1], found[2], alias=found.re is _ALIAS)
        logged = None if version.run_id else re.search(r"m-[0-9a-f]{32}", version.source or "")
        if logged:
            return run_id_at(client, uri, f"models:/{logged[0]}", key)
        return _of_run(address, key, version.run_id)
    raise ConfigError.at(key, f"an address is {_FORMS}", address)


def none_if_missing(uri: str, doing: str, ask: Callable[[], Any]) -> Any:
    """Makes a request. Returns its answer, or None if the store answers that the thing does not exist.

    Args:
        uri: the store's address, for messages.
        doing: what the request does, for messages.
        ask: makes the request.

    Raises:
        StoreError: the request failed.
    """
    try:
        with store_errors(uri, doing):
            return ask()
    except StoreError as error:
        cause = error.__cause__
        if "404 != 200" in str(cause):  # the server has no such endpoint
            raise StoreError(
                f"tracking.uri: {doing} failed: the MLflow server at {without_passwords(uri)} is too old to know it"
            ) from None
        if getattr(cause, "error_code", "") in _NOTHING_THERE:
            return None
        raise


def _model_version(client: MlflowClient, uri: str, key: str, name: str, which: str, alias: bool) -> Any:
    """Returns the version of a registered model that an alias, a number or a stage names.

    Raises:
        ConfigError: there is none.
    """
    if alias:
        found = none_if_missing(uri, "reading an alias", lambda: client.get_model_version_by_alias(name, which))
    elif which.isdecimal():
        found = none_if_missing(uri, "reading a version of a model", lambda: client.get_model_version(name, which))
    else:
        found = max(_staged(client, uri, name, which), key=lambda each: int(each.version), default=None)
    return found if found is not None else _refuse(client, uri, key, name, which, alias)


def _staged(client: MlflowClient, uri: str, name: str, stage: str) -> list[Any]:
    """Returns the versions that `latest`, or a stage of an older MLflow (`Production`), names."""
    with store_errors(uri, "reading the versions of a model"):
        versions = client.search_model_versions(f"name = {quoted(name)}")
    return [each for each in versions if stage == "latest" or each.current_stage.lower() == stage.lower()]


def _refuse(client: MlflowClient, uri: str, key: str, name: str, which: str, alias: bool) -> Any:
    """Raises an error that lists the existing models, aliases or versions."""
    with store_errors(uri, "reading the model registry"):
        models = client.search_registered_models(f"name = {quoted(name)}")
        if not models:
            raise UnknownNameError(
                key, "registered model", name, [str(each.name) for each in client.search_registered_models()]
            )
        if alias:
            raise ConfigError(f"{key}: model {name} has no alias {which!r}{suggestion(which, models[0].aliases)}")
        versions = client.search_model_versions(f"name = {quoted(name)}")
    known = sorted((str(each.version) for each in versions), key=int)
    raise ConfigError(f"{key}: model {name} has no version {which!r}{suggestion(which, known)}")


def quoted(name: str) -> str:
    """Quotes a name for MLflow's search language."""
    return f'"{name}"' if "'" in name else f"'{name}'"


def _of_run(address: str, key: str, run_id: str | None) -> str:
    if not run_id:
        raise ConfigError(f"{key}: {address} comes from no run, so it is no model of kexp's")
    return run_id

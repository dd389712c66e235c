"""Registers a run's model in MLflow's model registry, with a description and an alias."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import StoreError, without_passwords
from kexp.tracking.settings import is_remote
from kexp.tracking.store.addresses import none_if_missing, quoted
from kexp.tracking.store.client import create_once

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["Registration", "register", "registration", "set_alias", "version_named"]

_ABOUT = "Models trained by kexp. Each version says which run trained it, of what parts, and how good it is."
_LINEAGE = ("kexp.fingerprint", "kexp.version", "kexp.begins_with", "mlflow.parentRunId")


@dataclass(frozen=True)
class Registration:
    """A version of a registered model to create.

    Attributes:
        name: the name of the registered model.
        alias: an alias that the new version gets, and an older one loses; None for none.
        description: the description of the version, Markdown.
        tags: the tags of the version.
    """

    name: str
    alias: str | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def registration(
    name: str,
    alias: str | None,
    *,
    run: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, Any],
) -> Registration:
    """Returns a registration whose description names the model's parts, its metrics and its run.

    Args:
        name: the name of the registered model.
        alias: the alias of the version; None for none.
        run: the run's name.
        params: the flat config of the run.
        metrics: the final metrics.
        tags: the run's tags.
    """
    chosen = {
        part: str(params[f"{part}.name"]) for part in ("model", "data", "optimizer", "loss") if f"{part}.name" in params
    }
    data = Path(str(params.get("data.path") or "").partition("?")[0]).name or chosen.get("data", "data")
    tested = {key: value for key, value in metrics.items() if key.startswith("test_")}
    shown = tested or {key: value for key, value in metrics.items() if key.startswith("val_")}
    lines = [
        f"{chosen.get('model', 'A model')} on {data}, trained by run {run} "
        f"(optimizer {chosen.get('optimizer', '?')}, loss {chosen.get('loss', '?')}).",
        "",
        *(f"- {key}: {value:.4g}" for key, value in shown.items()),
    ]
    lineage = {key: str(tags[key]) for key in _LINEAGE if key in tags}
    return Registration(
        name, alias, "\n".join(lines).strip(), {**{f"kexp.{key}": value for key, value in chosen.items()}, **lineage}
    )


def register(client: MlflowClient, uri: str, wanted: Registration, model_id: str, run_id: str) -> ModelVersion:
    """Creates a version of a registered model from a logged model, exactly once, and sets its alias.

    Args:
        client: MLflow's client of the store and of its registry.
        uri: the store's address.
        wanted: the version to create.
        model_id: the id of the logged model.
        run_id: the run that made it.

    Raises:
        StoreError: the version exists, but the server is too old for aliases.
        MlflowException: the registry refuses the request, or is away.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(wanted.name, description=_ABOUT)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # A database store searches for `models:/ID` in the global store of the process, which may be another one.
    source = f"models:/{model_id}" if is_remote(uri) else client.get_logged_model(model_id).artifact_location
    version = _version_of(client, wanted.name, source)
    if version is None:
        version = _make_version(client, wanted, source, model_id, run_id)
        _link(client, model_id, wanted.name, int(version.version))
    if wanted.alias:
        try:
            set_alias(client, uri, wanted.name, wanted.alias, str(version.version))
        except StoreError as error:
            model_uri = f"models:/{wanted.name}/{version.version}"
            raise StoreError(f"{error}; {model_uri} is registered, without the alias {wanted.alias!r}") from error
    return version


def _version_of(client: MlflowClient, name: str, source: str) -> ModelVersion | None:
    return next((each for each in versions_of(client, name) if each.source == source), None)


def _make_version(client: MlflowClient, wanted: Registration, source: str, model_id: str, run_id: str) -> ModelVersion:
    """Creates a version exactly once, although the answer of a server may be lost."""
    from mlflow.entities.model_registry import ModelVersionTag
    from mlflow.store.model_registry.rest_store import RestStore

    registry = client._get_registry_client().store
    name, about = wanted.name, wanted.description
    if type(registry) is not RestStore:  # a database, whose answer is never lost, or a registry with another protocol
        return client.create_model_version(
            name, source, run_id, dict(wanted.tags), description=about, model_id=model_id, await_creation_for=0
        )
    tags = [ModelVersionTag(*each) for each in wanted.tags.items()]

    def make(store: Any) -> ModelVersion:
        made: ModelVersion = store.create_model_version(
            name, source, run_id, tags, description=about, model_id=model_id
        )
        return made

    return create_once(registry, "model-versions/create", make, partial(_version_of, client, name, source))


def _link(client: MlflowClient, model_id: str, name: str, version: int) -> None:
    """Adds the version to the logged model's page, as `mlflow.register_model` does."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    links = json.loads(client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    versions = json.dumps([*links, {"name": name, "version": version}])
    client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: versions})


def set_alias(client: MlflowClient, uri: str, name: str, alias: str, version: str) -> None:
    """Sets an alias of a registered model to one of its versions.

    Raises:
        StoreError: the version does not exist, the server is too old for aliases, or the request failed.
    """

    def ask() -> bool:
        client.set_registered_model_alias(name, alias, version)
        return True

    if not none_if_missing(uri, "setting an alias", ask):
        raise StoreError(f"tracking.uri: {without_passwords(uri)} has no version {version} of model {name!r} any more")


def version_named(client: MlflowClient, uri: str, name: str, alias: str | None) -> ModelVersion | None:
    """Returns a version of a registered model.

    Args:
        client: MLflow's client of the registry.
        uri: the store's address, for messages.
        name: the registered model.
        alias: an alias of the version; None for the newest version.

    Returns:
        The version; None if there is no such model or alias, or the model has no version.

    Raises:
        StoreError: the registry cannot be read.
    """
    if alias is not None:
        found: ModelVersion | None = none_if_missing(
            uri, "reading an alias", lambda: client.get_model_version_by_alias(name, alias)
        )
        return found
    versions = none_if_missing(uri, "reading the versions of a model", lambda: versions_of(client, name)) or []
    return max(versions, key=lambda each: int(each.version), default=None)


def versions_of(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Returns all versions of a registered model."""
    return list(client.search_model_versions(f"name = {quoted(name)}", max_results=10_000))

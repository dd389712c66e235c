"""MLflow's model registry: a run's model becomes a version of a registered model, described, and named by an alias."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import StoreError, without_passwords
from kexp.tracking.settings import is_remote
from kexp.tracking.store.addresses import asked, quoted
from kexp.tracking.store.client import make_once

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["Registration", "register", "registration", "set_alias", "version_named"]

_ABOUT = "Models trained by kexp. Each version says which run trained it, of what parts, and how good it is."
_LINEAGE = ("kexp.fingerprint", "kexp.version", "kexp.begins_with", "mlflow.parentRunId")


@dataclass(frozen=True)
class Registration:
    """How a model is to stand in the registry.

    Attributes:
        name: the registered model's.
        alias: is set on the new version, and taken from another; None for none.
        description: of the version, Markdown.
        tags: of the version.
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
    """A registration that says what the model is, how good it is, and where it comes from.

    Args:
        name: the registered model's.
        alias: for the version.
        run: the run's name.
        params: flat config of the run.
        metrics: the final ones.
        tags: the run's.
    """
    chosen = {
        what: str(params[f"{what}.name"]) for what in ("model", "data", "optimizer", "loss") if f"{what}.name" in params
    }
    data = Path(str(params.get("data.path") or "").partition("?")[0]).name or chosen.get("data", "data")
    tested = {key: value for key, value in metrics.items() if key.startswith("test_")}
    told = tested or {key: value for key, value in metrics.items() if key.startswith("val_")}
    lines = [
        f"{chosen.get('model', 'A model')} on {data}, trained by run {run} "
        f"(optimizer {chosen.get('optimizer', '?')}, loss {chosen.get('loss', '?')}).",
        "",
        *(f"- {key}: {value:.4g}" for key, value in told.items()),
    ]
    lineage = {key: str(tags[key]) for key in _LINEAGE if key in tags}
    return Registration(
        name, alias, "\n".join(lines).strip(), {**{f"kexp.{key}": value for key, value in chosen.items()}, **lineage}
    )


def register(client: MlflowClient, uri: str, asked_for: Registration, model_id: str, run_id: str) -> ModelVersion:
    """Makes a version of a registered model from a logged model, once, and gives it the alias.

    Args:
        client: of the store and of the registry.
        uri: the store's.
        asked_for: how it is to stand there.
        model_id: the logged model.
        run_id: the run that made it.

    Raises:
        StoreError: the server is too old to know aliases; the version is there.
        MlflowException: the registry refuses, or is away.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(asked_for.name, description=_ABOUT)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # A database store looks `models:/ID` up in the process's global store (MLflow's own TODO), which may be another.
    source = f"models:/{model_id}" if is_remote(uri) else client.get_logged_model(model_id).artifact_location
    version = _version_of(client, asked_for.name, source)
    if version is None:
        version = _make_version(client, asked_for, source, model_id, run_id)
        _link(client, model_id, asked_for.name, int(version.version))
    if asked_for.alias:
        try:
            set_alias(client, uri, asked_for.name, asked_for.alias, str(version.version))
        except StoreError as error:
            there = f"models:/{asked_for.name}/{version.version}"
            raise StoreError(f"{error}; {there} is registered, without the alias {asked_for.alias!r}") from error
    return version


def _version_of(client: MlflowClient, name: str, source: str) -> ModelVersion | None:
    return next((each for each in versions_of(client, name) if each.source == source), None)


def _make_version(
    client: MlflowClient, asked_for: Registration, source: str, model_id: str, run_id: str
) -> ModelVersion:
    """Makes a version, once, although the answer of a server may be lost."""
    from mlflow.entities.model_registry import ModelVersionTag
    from mlflow.store.model_registry.rest_store import RestStore

    registry = client._get_registry_client().store
    name, about = asked_for.name, asked_for.description
    if type(registry) is not RestStore:  # a database, whose answer is not lost, or one that speaks another language
        return client.create_model_version(
            name, source, run_id, dict(asked_for.tags), description=about, model_id=model_id, await_creation_for=0
        )
    tags = [ModelVersionTag(*each) for each in asked_for.tags.items()]

    def make(store: Any) -> ModelVersion:
        made: ModelVersion = store.create_model_version(
            name, source, run_id, tags, description=about, model_id=model_id
        )
        return made

    return make_once(registry, "model-versions/create", make, partial(_version_of, client, name, source))


def _link(client: MlflowClient, model_id: str, name: str, version: int) -> None:
    """Has the logged model's page show the version, as `mlflow.register_model` does."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    known = json.loads(client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    told = json.dumps([*known, {"name": name, "version": version}])
    client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: told})


def set_alias(client: MlflowClient, uri: str, name: str, alias: str, version: str) -> None:
    """Has an alias of a registered model name one of its versions, and no other.

    Raises:
        StoreError: the server is too old to know aliases, or cannot do it.
    """
    done = asked(uri, "setting an alias", lambda: client.set_registered_model_alias(name, alias, version) or True)
    if done is None:
        raise StoreError(f"tracking.uri: {without_passwords(uri)} has no version {version} of model {name!r} any more")


def version_named(client: MlflowClient, uri: str, name: str, alias: str | None) -> ModelVersion | None:
    """The version that an alias names; without an alias the newest one. None where there is none."""
    if alias is not None:
        found: ModelVersion | None = asked(
            uri, "reading an alias", lambda: client.get_model_version_by_alias(name, alias)
        )
        return found
    versions = asked(uri, "reading the versions of a model", lambda: versions_of(client, name)) or []
    return max(versions, key=lambda each: int(each.version), default=None)


def versions_of(client: MlflowClient, name: str) -> list[ModelVersion]:
    """All versions of a registered model."""
    return list(client.search_model_versions(f"name = {quoted(name)}", max_results=10_000))

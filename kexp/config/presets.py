"""Choices in the body of a YAML file: `optimizer: {name: sgd, momentum: 0.9}` means the same as the override.

Hydra merges the body into the options that the defaults list chose, which would mix sgd with the parameters of another
optimizer. A node with a name is therefore moved to the defaults list, as an option of its group. A node without a name
stays in the body and sets parameters of the chosen component.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins import file_config_source, importlib_resources_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from kexp.config.options import option_names
from kexp.config.unset import Unset
from kexp.errors import ConfigError
from kexp.registry.groups import GROUPS
from kexp.system.folders import conf_folder

__all__ = ["read_choices"]


# Has the name of Hydra's own class: Hydra refuses two classes with different names for one scheme.
class FileConfigSource(file_config_source.FileConfigSource):
    """Reads `file://`."""

    def load_config(self, config_path: str) -> ConfigResult:
        result = _move_choices(config_path, super().load_config(config_path))
        if config_path.removesuffix(".yaml") == "config" and Path(self.path) == conf_folder():
            assert isinstance(result.config, DictConfig)
            result.config.backend = Unset(result.config.backend)
        return result


class ImportlibResourcesConfigSource(importlib_resources_config_source.ImportlibResourcesConfigSource):
    """Reads `pkg://`."""

    def load_config(self, config_path: str) -> ConfigResult:
        return _move_choices(config_path, super().load_config(config_path))


def read_choices() -> None:
    """Makes Hydra read YAML files with these sources. Safe to call again."""
    for source in (FileConfigSource, ImportlibResourcesConfigSource):
        SourcesRegistry.instance().types[source.scheme()] = source


def _move_choices(path: str, result: ConfigResult) -> ConfigResult:
    config = result.config
    primary = "/" not in path
    if not isinstance(config, DictConfig) or not (primary or result.header["package"] == "_global_"):
        return result
    body = OmegaConf.to_container(config, resolve=False)
    assert isinstance(body, dict)
    choices = {group: body[group] for group in GROUPS if _chooses(group, body.get(group))}
    listed = body.get("defaults") or []
    if not choices or not isinstance(listed, list):
        return result
    places = {_group_of(entry): place for place, entry in enumerate(listed)}
    with open_dict(config):
        for group, value in choices.items():
            try:
                option = option_names(group, value, group)
            except ConfigError as error:
                raise ConfigError(f"{path.removesuffix('.yaml')}.yaml: {error}") from None
            if group in places:
                (key,) = listed[places[group]]
                listed[places[group]] = {key: option}
            elif primary:
                continue  # the primary config does not choose from this group
            else:
                listed.append({f"override /{group}": option})
            del config[group]
        config.defaults = ListConfig(listed)
    return result


def _chooses(group: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return isinstance(value.get("name"), str)
    return (isinstance(value, str) and "${" not in value) or (isinstance(value, list) and GROUPS[group].several)


def _group_of(entry: Any) -> str:
    """Returns the group of an entry of a defaults list; empty if it has none."""
    key = next(iter(entry)) if isinstance(entry, Mapping) and len(entry) == 1 else ""
    return str(key).rpartition(" ")[2].removeprefix("/")

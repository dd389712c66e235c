"""The registry as a Hydra config source: `kexp://optimizer/adam` holds the component's parameters with their defaults.

The source is last on the search path, so YAML in `conf/` and in the user's `--config-dir` takes precedence.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from kexp import registry, schema, signatures
from kexp.config.functions import add_functions
from kexp.config.options import is_option, node_of
from kexp.config.presets import read_choices
from kexp.config.unset import as_unset
from kexp.errors import ConfigError
from kexp.registry.groups import GROUPS, Group

__all__ = ["HYDRA_PARTS", "KEEP", "offered", "register", "target", "user_folder"]

# Options of settings that are not components -> the name of their dataclass.
SETTINGS = {
    "trainer/default": "trainer",
    "save/default": "save",
    "tracking/mlflow": "tracking",
    "schema/sweep": "sweep",
    "schema/fused": "fused",
}
SETTINGS_GROUPS = sorted({path.partition("/")[0] for path in SETTINGS})
# Options that are not components -> their config and its package: `auto` follows the data, `none` keeps the learning
# rate constant. Every start reads them, and as YAML they took five milliseconds each.
OPTIONS: dict[str, tuple[dict[str, Any], str | None]] = {
    "loss/auto": ({"name": "auto"}, None),
    "metrics/auto": ({"auto": {"name": "auto"}}, None),
    "schedule/none": ({"schedule": None}, "optimizer"),
    # A compiled training runs on JAX, so this option chooses the backend as well.
    "trainer/compiled": ({"backend": "jax", "trainer": {**asdict(schema.Trainer()), "engine": "compiled"}}, "_global_"),
}
AUTO_OPTIMIZER = "optimizer/auto"
# Keys inside other nodes that a group of their own fills; it comes before the node's group in the defaults list.
_FILLED_BY_GROUPS = {group.package for group in GROUPS.values() if group.package}
# Hydra's own groups, to which packages add by the entry points `kexp.launcher` and `kexp.sweeper`.
HYDRA_PARTS = {"hydra/launcher": "launcher", "hydra/sweeper": "sweeper"}


def target(kind: str, name: str) -> str:
    """Returns the `_target_` of a launcher or sweeper; Hydra accepts names of this namespace only."""
    return f"hydra_plugins.kexp.{kind}.{name}"


class RegistrySource(ConfigSource):
    """Reads `kexp://`."""

    @staticmethod
    def scheme() -> str:
        return "kexp"

    def load_config(self, config_path: str) -> ConfigResult:
        path = self._normalize_file_name(config_path).removesuffix(".yaml")
        if path in SETTINGS:
            return self._result(config_path, asdict(schema.SETTINGS[SETTINGS[path]]()))
        if path in OPTIONS:
            return self._result(config_path, *OPTIONS[path])
        folder, _, name = path.rpartition("/")
        if folder in HYDRA_PARTS:
            return self._result(config_path, _part(HYDRA_PARTS[folder], name))
        group, _, name = path.partition("/")
        if group not in GROUPS or not name:
            raise ConfigLoadError(f"Config not found: {config_path}")
        owner = GROUPS[group]
        try:
            if is_option(name):
                given = node_of(name)
                plain = f"{group}/{given.get('name')}"
                if list(given) == ["name"] and plain in OPTIONS:
                    return self._result(config_path, *OPTIONS[plain])
                return self._result(config_path, _node(owner, given), owner.package or None)
            # `optimizer=auto` has the default optimizer's settings; see `kexp.config.unset`.
            stands_for = schema.DEFAULT_OPTIMIZER if path == AUTO_OPTIMIZER else name
            node = {**schema.defaults_of(registry.find(group, stands_for))}
            node |= {"name": name} if path == AUTO_OPTIMIZER else {}
            for filled in _FILLED_BY_GROUPS & {f"{group}.{key}" for key in node}:
                del node[filled.partition(".")[2]]
        except ConfigError as error:
            raise ConfigCompositionException(str(error)) from error
        if owner.several:
            node = {owner.node(name).rpartition(".")[2]: node}
        return self._result(config_path, as_unset(node) if path == AUTO_OPTIMIZER else node, owner.package or None)

    def _result(self, path: str, node: dict[str, Any] | DictConfig, package: str | None = None) -> ConfigResult:
        return ConfigResult(
            config=OmegaConf.create(node) if isinstance(node, dict) else node,
            path=f"{self.scheme()}://{path}",
            provider=self.provider,
            header={"package": package},
        )

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path in GROUPS or config_path in HYDRA_PARTS or config_path in ("", *SETTINGS_GROUPS)

    def is_config(self, config_path: str) -> bool:
        path = config_path.removesuffix(".yaml")
        folder, _, name = path.rpartition("/")
        if folder in HYDRA_PARTS:
            return name in registry.part_names(HYDRA_PARTS[folder])
        group, _, name = path.partition("/")
        return (
            path in SETTINGS
            or path in OPTIONS
            or path == AUTO_OPTIMIZER
            or (group in GROUPS and (is_option(name) or ":" in name or registry.offers(group, name)))
        )

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path:
            return [] if results_filter is ObjectType.GROUP else offered(config_path)
        return [] if results_filter is ObjectType.CONFIG else sorted([*GROUPS, *SETTINGS_GROUPS])


def offered(group: str) -> list[str]:
    """Returns the options of a group that are not YAML: registered names, launchers, sweepers and kexp's settings."""
    names = registry.names(group) if group in GROUPS else []
    names += registry.part_names(HYDRA_PARTS[group]) if group in HYDRA_PARTS else []
    paths = (*SETTINGS, *OPTIONS, AUTO_OPTIMIZER)
    return sorted([*names, *(path.partition("/")[2] for path in paths if path.startswith(f"{group}/"))])


def _node(owner: Group, given: dict[str, Any]) -> dict[str, Any]:
    """Returns the config of a component with parameters: its defaults, overridden by these values.

    In a group of which several can be chosen, the component is under the key that it was given.
    """
    if not owner.several:
        base = given.pop("name")
        return {"defaults": [f"/{owner.name}/{base}@_here_", "_self_"], **given}
    ((key, node),) = given.items()
    name = node.pop("name")
    ready, _ = OPTIONS.get(f"{owner.name}/{name}", ({}, None))
    found = ready.get(name) or schema.defaults_of(registry.find(owner.name, name))
    return {key: {**found, **node}}


def _part(kind: str, name: str) -> dict[str, Any]:
    """Returns the config of a launcher or sweeper: its parameters with their defaults."""
    try:
        signature = signatures.of_callable(registry.find_part(kind, name).load())
    except ConfigError as error:
        raise ConfigCompositionException(str(error)) from error
    defaults = {
        each.name: "???" if each.default is signatures.REQUIRED else each.default for each in signature.parameters
    }
    return {"_target_": target(kind, name), **defaults}


class RegistrySearchPath(SearchPathPlugin):
    """Puts the user's folder at the beginning of the search path and `kexp://` at its end."""

    user_folder: Path | None = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if self.user_folder is not None:
            search_path.prepend(provider="user", path=f"file://{self.user_folder}")
        search_path.append(provider="kexp", path="kexp://")


KEEP = Path("the folder chosen before")


def user_folder() -> Path | None:
    """Returns the user's folder of YAML; None if there is none."""
    return RegistrySearchPath.user_folder


def register(user_folder: str | Path | None = KEEP) -> None:
    """Registers the source and kexp's sweep functions with Hydra. Safe to call again.

    Args:
        user_folder: a folder of YAML that takes precedence over all others (Hydra's own `--config-dir` would come
            last); None for none; the previous one by default.

    Raises:
        ConfigError: the folder does not exist.
    """
    if user_folder is not None and user_folder is not KEEP:
        user_folder = Path(user_folder).expanduser()  # a shell does not expand ~ behind an equals sign
    if user_folder is not None and user_folder is not KEEP and not Path(user_folder).is_dir():
        raise ConfigError(f"--config-dir: there is no folder {str(user_folder)!r}")
    if user_folder is not KEEP:
        RegistrySearchPath.user_folder = None if user_folder is None else Path(user_folder).resolve()
    add_functions()
    plugins = Plugins.instance()
    for plugin in (RegistrySource, RegistrySearchPath):
        plugins.register(plugin)
    read_choices()

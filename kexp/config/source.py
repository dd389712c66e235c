"""The registry as a Hydra config source: `kexp://optimizer/adam` is the component's parameters with their defaults.

The source stands last on the search path, so that YAML in `conf/` and in the user's `--config-dir` wins.
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
from kexp.config.left_open import as_left_open
from kexp.config.options import is_option, node_of
from kexp.config.presets import read_choices
from kexp.errors import ConfigError
from kexp.groups import GROUPS, Group

__all__ = ["HYDRA_PARTS", "KEEP", "register", "target", "user_folder"]

# The settings that are no components, each an option made of its dataclass.
SETTINGS = {
    "trainer/default": "trainer",
    "save/default": "save",
    "tracking/mlflow": "tracking",
    "schema/sweep": "sweep",
    "schema/fused": "fused",
}
SETTINGS_GROUPS = sorted({path.partition("/")[0] for path in SETTINGS})
# Options that name no component, and where they land: `auto` follows the data, `none` leaves the rate as it is. Every
# start reads them; as YAML they took five milliseconds each.
OPTIONS: dict[str, tuple[dict[str, Any], str | None]] = {
    "loss/auto": ({"name": "auto"}, None),
    "metrics/auto": ({"auto": {"name": "auto"}}, None),
    "schedule/none": ({"schedule": None}, "optimizer"),
    # A compiled training runs on JAX, so that choosing it chooses the backend as well.
    "trainer/compiled": ({"backend": "jax", "trainer": {**asdict(schema.Trainer()), "engine": "compiled"}}, "_global_"),
}
LEFT_OPEN = "optimizer/auto"
# Keys inside other nodes that have a group to choose them, which stands before the node's own in the defaults list.
_FILLED_BY_GROUPS = {group.package for group in GROUPS.values() if group.package}
# Groups of Hydra's own to which packages add by entry points of `kexp.launcher` and `kexp.sweeper`.
HYDRA_PARTS = {"hydra/launcher": "launcher", "hydra/sweeper": "sweeper"}


def target(kind: str, name: str) -> str:
    """What the config of a launcher or sweeper calls it: Hydra takes names of this namespace alone."""
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
            # `optimizer=auto` is the model's own, or with the settings of the default one that one.
            stands_for = schema.DEFAULT_OPTIMIZER if path == LEFT_OPEN else name
            node = {**schema.defaults_of(registry.find(group, stands_for))}
            node |= {"name": name} if path == LEFT_OPEN else {}
            for filled in _FILLED_BY_GROUPS & {f"{group}.{key}" for key in node}:
                del node[filled.partition(".")[2]]
        except ConfigError as error:
            raise ConfigCompositionException(str(error)) from error
        if owner.several:
            node = {owner.node(name).rpartition(".")[2]: node}
        return self._result(config_path, as_left_open(node) if path == LEFT_OPEN else node, owner.package or None)

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
            or path == LEFT_OPEN
            or (group in GROUPS and (is_option(name) or ":" in name or registry.offers(group, name)))
        )

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if results_filter is ObjectType.GROUP:
            return [] if config_path else sorted([*GROUPS, *SETTINGS_GROUPS])
        if config_path in HYDRA_PARTS:
            return registry.part_names(HYDRA_PARTS[config_path])
        if config_path in GROUPS:
            more = [path.partition("/")[2] for path in (*OPTIONS, LEFT_OPEN) if path.startswith(f"{config_path}/")]
            return sorted([*registry.names(config_path), *more])
        if config_path in SETTINGS_GROUPS:
            both = (*SETTINGS, *OPTIONS)
            return sorted(path.partition("/")[2] for path in both if path.startswith(f"{config_path}/"))
        return [] if config_path or results_filter is ObjectType.CONFIG else sorted([*GROUPS, *SETTINGS_GROUPS])


def _node(owner: Group, given: dict[str, Any]) -> dict[str, Any]:
    """The config of a component with parameters: what the option of its name is, with these values.

    One of several stands under the key that it was given.
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
    """The config of a launcher or sweeper: its parameters with their defaults."""
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
    """The user's folder of YAML, if any."""
    return RegistrySearchPath.user_folder


def register(user_folder: str | Path | None = KEEP) -> None:
    """Makes Hydra see the source, and kexp's functions for sweeps. Safe to call again.

    Args:
        user_folder: a folder of YAML that wins over all else (Hydra's own `--config-dir` would come last); None for
            none, and the one chosen before unless given.

    Raises:
        ConfigError: there is no such folder.
    """
    if user_folder is not None and user_folder is not KEEP:
        user_folder = Path(user_folder).expanduser()  # no shell does behind an equals sign
    if user_folder is not None and user_folder is not KEEP and not Path(user_folder).is_dir():
        raise ConfigError(f"--config-dir: there is no folder {str(user_folder)!r}")
    if user_folder is not KEEP:
        RegistrySearchPath.user_folder = None if user_folder is None else Path(user_folder).resolve()
    add_functions()
    plugins = Plugins.instance()
    for plugin in (RegistrySource, RegistrySearchPath):
        plugins.register(plugin)
    read_choices()

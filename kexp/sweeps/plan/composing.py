"""The configs of a sweep's trials, composed once for each set of group choices.

Hydra takes tens of milliseconds to compose a config. The trials of a sweep differ mostly in values, so a base is
composed for each set of group choices, and values are set on copies of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kexp.config import is_set, name_what_is_set
from kexp.errors import ConfigError
from kexp.schema import AUTO, DEFAULT_OPTIMIZER
from kexp.sweeps.plan.axes import parse

__all__ = ["Composed", "Composer"]

_MISSING = object()


class Composed(dict[str, Any]):
    """A plain config, interpolations resolved.

    Attributes:
        unresolved: the config as it was written, where it interpolates more than its own values: what the environment
            holds may be a secret, and is not to be recorded. None elsewhere.
        in_files: the override that somebody's file makes of a key that was left open, the backend.
    """

    unresolved: dict[str, Any] | None = None
    in_files: tuple[str, ...] = ()


class Composer:
    """Composes trials' configs.

    Args:
        compose: Hydra's composition of a list of overrides.
        is_group: whether a key is a config group's.
    """

    def __init__(self, compose: Callable[[Sequence[str]], DictConfig], is_group: Callable[[str], bool]) -> None:
        self._compose = compose
        self._is_group = is_group
        self._bases: dict[tuple[str, ...], dict[str, Any]] = {}
        self._in_files: dict[tuple[str, ...], tuple[str, ...]] = {}

    def config(self, overrides: Sequence[str]) -> Composed:
        """The plain config, interpolations resolved, that Hydra would compose from these overrides.

        Raises:
            HydraException: Hydra cannot compose them.
        """
        composed = self._whole(overrides)
        composed.in_files = self._in_files.get(self.choices(overrides), ())
        return composed

    def _whole(self, overrides: Sequence[str]) -> Composed:
        config = copy.deepcopy(self._base(self.choices(overrides)))
        for each in self.values(overrides):
            key, value = _parsed(each)
            if not _set(config, key, value):
                return _resolved(_unresolved(name_what_is_set(self._compose(overrides))))
            if key.startswith("optimizer.") and config["optimizer"]["name"] == AUTO:  # see `kexp.config.left_open`
                config["optimizer"]["name"] = DEFAULT_OPTIMIZER
        return _resolved(config)

    def choices(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """The overrides that only Hydra can tell the meaning of: choices of groups, keys that are added or removed."""
        return tuple(each for each in overrides if not self._sets_value(each))

    def values(self, overrides: Sequence[str]) -> list[str]:
        """The overrides that set a key."""
        return [each for each in overrides if self._sets_value(each)]

    def base(self, choices: tuple[str, ...]) -> dict[str, Any] | None:
        """The config of the choices alone, interpolations unresolved; None where Hydra cannot compose them."""
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        try:
            return self._base(choices)
        except (HydraException, OmegaConfBaseException, ConfigError):
            return None

    def _base(self, choices: tuple[str, ...]) -> dict[str, Any]:
        if choices not in self._bases:
            composed = name_what_is_set(self._compose(choices))
            self._bases[choices] = _unresolved(composed)
            if is_set(composed, "backend"):
                self._in_files[choices] = (f"backend={composed.backend}",)
        return self._bases[choices]

    def _sets_value(self, override: str) -> bool:
        key = override.split("=", 1)[0]
        return "=" in override and not key.startswith(("+", "~")) and "@" not in key and not self._is_group(key)


@lru_cache(maxsize=65536)
def _parsed(override: str) -> tuple[str, Any]:
    """Key and value. Cached: an axis' values return in trial after trial."""
    parsed = parse([override])[0]
    return parsed.key_or_group, parsed.value()


def _set(config: dict[str, Any], key: str, value: Any) -> bool:
    """Sets an existing key to a plain value; False where only Hydra can tell what is meant."""
    if isinstance(value, Mapping) and not _is_plain(value):
        return False
    node: Any = config
    *parents, leaf = key.split(".")
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if not isinstance(node, dict) or isinstance(node.get(leaf, _MISSING), dict) or leaf not in node:
        return False
    if isinstance(value, Mapping) and node[leaf] is not None:  # what stands there may have a type
        return False
    node[leaf] = copy.deepcopy(value)
    return True


def _is_plain(value: Any) -> bool:
    """Whether a mapping holds numbers alone, in mappings perhaps: as such it is taken, where there was null."""
    if isinstance(value, Mapping):
        return all(type(key) in (int, str) and _is_plain(each) for key, each in value.items())
    return type(value) in (int, float)


def _unresolved(config: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if key != "hydra"}


def _resolved(config: dict[str, Any]) -> Composed:
    """Interpolations replaced. The common kind, `${seed}`, needs no OmegaConf."""
    if not _resolve_in(config, config):
        return Composed(config)
    whole = OmegaConf.create(config)
    resolved = OmegaConf.to_container(whole, resolve=True)
    assert isinstance(resolved, dict)
    composed = Composed({str(key): value for key, value in resolved.items()})
    if isinstance(config.get("tracking"), dict) and isinstance(composed.get("tracking"), dict):
        composed["tracking"]["run_name"] = config["tracking"].get("run_name")
    composed.unresolved = config
    return composed


def _resolve_in(node: dict[str, Any], root: dict[str, Any]) -> bool:
    """Replaces `${key}` of a top-level plain value; whether other interpolations are left."""
    rest = False
    for key, value in node.items():
        if key == "run_name":  # of `tracking`: filled in once all of the config is settled
            continue
        if isinstance(value, dict):
            rest |= _resolve_in(value, root)
        elif isinstance(value, str) and "${" in value:
            target = root.get(value[2:-1], _MISSING) if value.startswith("${") and value.endswith("}") else _MISSING
            if target is _MISSING or isinstance(target, (dict, list)) or (isinstance(target, str) and "${" in target):
                rest = True
            else:
                node[key] = target
        elif isinstance(value, list):
            rest |= "${" in str(value)
    return rest

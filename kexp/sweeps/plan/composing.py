"""Composes the configs of a sweep's trials, calling Hydra once for each set of group choices.

Hydra takes tens of milliseconds to compose a config. The trials of a sweep differ mostly in values, so one base config
is composed for each set of group choices, and values are set on copies of it.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kexp.config import is_set, name_default_optimizer
from kexp.errors import ConfigError
from kexp.schema import AUTO, DEFAULT_OPTIMIZER
from kexp.sweeps.plan.axes import parse

__all__ = ["Composed", "Composer", "sets_value"]

_MISSING = object()


class Composed(dict[str, Any]):
    """A plain config with interpolations resolved.

    Attributes:
        unresolved: the config before resolving, if it interpolates more than its own values; else None. It is what is
            recorded, because environment variables may hold secrets.
        in_files: the override (`backend=...`) of a key that is unset by default and that a config file sets.
    """

    unresolved: dict[str, Any] | None = None
    in_files: tuple[str, ...] = ()


class Composer:
    """Composes the configs of trials.

    Args:
        compose: composes a list of overrides with Hydra.
        is_group: returns whether a key is a config group.
    """

    def __init__(self, compose: Callable[[Sequence[str]], DictConfig], is_group: Callable[[str], bool]) -> None:
        self._compose = compose
        self.is_group = is_group
        self._bases: dict[tuple[str, ...], bytes] = {}
        self._in_files: dict[tuple[str, ...], tuple[str, ...]] = {}

    def config(self, overrides: Sequence[str]) -> Composed:
        """Returns the plain config, interpolations resolved, that Hydra would compose from these overrides.

        Raises:
            HydraException: Hydra cannot compose them.
        """
        composed = self._compose_from_base(overrides)
        composed.in_files = self._in_files.get(self.choices(overrides), ())
        return composed

    def _compose_from_base(self, overrides: Sequence[str]) -> Composed:
        """Composes a trial from the config of its choices, which is cached; by Hydra if a value cannot be set in it."""
        config = self._base(self.choices(overrides))
        for each in self.values(overrides):
            key, value = _parsed(each)
            if not _set(config, key, value):
                return _resolved(_unresolved(name_default_optimizer(self._compose(overrides))))
            if key.startswith("optimizer.") and config["optimizer"]["name"] == AUTO:  # see `kexp.config.unset`
                config["optimizer"]["name"] = DEFAULT_OPTIMIZER
        return _resolved(config)

    def choices(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """Returns the overrides that only Hydra can apply: group choices, and keys that are added or removed."""
        return tuple(each for each in overrides if not sets_value(each, self.is_group))

    def values(self, overrides: Sequence[str]) -> list[str]:
        """Returns the overrides that set an existing key."""
        return [each for each in overrides if sets_value(each, self.is_group)]

    def base(self, choices: tuple[str, ...]) -> dict[str, Any] | None:
        """Returns the unresolved config of the choices without values, or None if Hydra cannot compose them."""
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        try:
            return self._base(choices)
        except (HydraException, OmegaConfBaseException, ConfigError):
            return None

    def _base(self, choices: tuple[str, ...]) -> dict[str, Any]:
        """Returns a new copy of the unresolved config of the choices without values.

        Raises:
            HydraException: Hydra cannot compose them.
        """
        if choices not in self._bases:
            composed = name_default_optimizer(self._compose(choices))
            # Unpickling is the fastest way to make a deep copy for each trial.
            self._bases[choices] = pickle.dumps(_unresolved(composed))
            if is_set(composed, "backend"):
                self._in_files[choices] = (f"backend={composed.backend}",)
        base: dict[str, Any] = pickle.loads(self._bases[choices])
        return base


def sets_value(override: str, is_group: Callable[[str], bool]) -> bool:
    """Returns whether an override sets an existing key; if not, it chooses an option, or adds or removes a key."""
    key = override.split("=", 1)[0]
    return "=" in override and not key.startswith(("+", "~")) and "@" not in key and not is_group(key)


@lru_cache(maxsize=65536)
def _parsed(override: str) -> tuple[str, Any]:
    """Returns the override's key and value. Cached, because the values of an axis recur in many trials."""
    parsed = parse([override])[0]
    return parsed.key_or_group, parsed.value()


def _set(config: dict[str, Any], key: str, value: Any) -> bool:
    """Sets an existing key to a plain value. Returns False if only Hydra can apply the override."""
    if isinstance(value, Mapping) and not _is_plain(value):
        return False
    node: Any = config
    *parents, leaf = key.split(".")
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if not isinstance(node, dict) or isinstance(node.get(leaf, _MISSING), dict) or leaf not in node:
        return False
    if isinstance(value, Mapping) and node[leaf] is not None:  # the existing value may have a type
        return False
    node[leaf] = copy.deepcopy(value)
    return True


def _is_plain(value: Any) -> bool:
    """Returns whether a value is a number, or a mapping (possibly nested) of numbers only."""
    if isinstance(value, Mapping):
        return all(type(key) in (int, str) and _is_plain(each) for key, each in value.items())
    return type(value) in (int, float)


def _unresolved(config: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if key != "hydra"}


def _resolved(config: dict[str, Any]) -> Composed:
    """Resolves interpolations. The common case, `${seed}`, is resolved without OmegaConf."""
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
    """Replaces each `${key}` that names a top-level plain value. Returns whether other interpolations remain."""
    rest = False
    for key, value in node.items():
        if key == "run_name":  # `tracking.run_name` is resolved later, once the whole config is final
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

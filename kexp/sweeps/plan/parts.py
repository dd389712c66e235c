"""Sweeps over presets, such as `experiment=a,b` or `+sweep=a,b`.

Each preset may define axes and seeds of its own. A sweep has one part for each combination of presets, and its trials
are the trials of all parts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kexp.config import overrides_of
from kexp.config.source import SETTINGS_GROUPS
from kexp.errors import ConfigError
from kexp.registry.groups import GROUPS
from kexp.sweeps.plan.axes import axis, parse

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

__all__ = ["Part", "parts_of"]

# Hydra's settings of the whole sweep, in which parts must agree: a sweep has one folder, launcher and name.
_SWEEP_SETTINGS = ("launcher", "sweeper", "sweep", "callbacks", "job", "hydra_logging", "job_logging", "output_subdir")


@dataclass(frozen=True)
class Part:
    """The trials of one combination of presets.

    Attributes:
        arguments: the overrides, with one option chosen for each preset.
        config: the config that the sweep would have if this were its only part.
    """

    arguments: list[str]
    config: DictConfig

    @property
    def params(self) -> dict[str, Any]:
        """The axes that the part's config defines in `hydra.sweeper.params`."""
        return dict(self.config.hydra.sweeper.get("params") or {})


def parts_of(arguments: Sequence[str], compose: Callable[[Sequence[str]], DictConfig], loader: Any) -> list[Part]:
    """Splits a sweep into its parts; there is at least one.

    Args:
        arguments: the command line without flags.
        compose: composes the config of a whole sweep from overrides.
        loader: Hydra's config loader, which lists the groups.

    Raises:
        ConfigError: parts differ in a setting of the whole sweep, or an axis is one of Hydra's own settings.
        HydraException: the arguments cannot be composed.
    """
    parsed = parse(arguments, loader)
    for each in parsed:
        if each.is_sweep_override() and each.is_hydra_override():
            raise ConfigError(f"{each.key_or_group}: cannot be swept over; a sweep has one, so run a sweep for each")
    presets = [number for number, each in enumerate(parsed) if _is_preset(each, loader)]
    parts = []
    for picked in itertools.product(*(axis(parsed[number]) for number in presets)):
        chosen = list(arguments)
        for number, written in zip(presets, picked, strict=True):
            chosen[number] = written
        config = compose(chosen)
        task = overrides_of(config)
        parts.append(Part(task, config))
    for other in parts[1:]:
        for key in _differing(parts[0].config, other.config):
            first, second = _apart(parts[0], other), _apart(other, parts[0])
            raise ConfigError(
                f"{key}: {first} and {second} do not agree on it, and a sweep has one; give it on the command line, "
                "or run them as two sweeps"
            )
    return parts


def _apart(part: Part, other: Part) -> str:
    """Returns the overrides of a part that the other does not have."""
    return " ".join(each for each in part.arguments if each not in other.arguments)


def _is_preset(override: Override, loader: Any) -> bool:
    group = override.key_or_group
    if not override.is_sweep_override() or group in GROUPS or group in SETTINGS_GROUPS:
        return False
    return "/" in group or group in loader.list_groups("")


def _differing(first: DictConfig, second: DictConfig) -> Iterator[str]:
    """Yields the settings of the whole sweep in which two configs differ."""
    from omegaconf import OmegaConf

    def plain(config: DictConfig) -> dict[str, Any]:
        hydra, sweep = (OmegaConf.to_container(config[key], resolve=False) for key in ("hydra", "sweep"))
        assert isinstance(hydra, dict)
        assert isinstance(sweep, dict)
        for kind in ("launcher", "sweeper"):
            hydra[kind] = {**(hydra[kind] or {}), "params": None}
        hydra["job"].pop("override_dirname", None)
        settings = {"sweep." + str(key): value for key, value in sweep.items() if key not in ("seeds", "folds")}
        return {f"hydra.{key}": hydra[key] for key in _SWEEP_SETTINGS} | settings

    one, two = plain(first), plain(second)
    yield from (key for key in one if one[key] != two[key])

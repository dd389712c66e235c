"""Composes a config from overrides, without Hydra's command line, and converts it to a plain dict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from kexp.config.opening import open_hydra
from kexp.config.source import KEEP
from kexp.config.unset import name_default_optimizer
from kexp.errors import ConfigError
from kexp.system.nested import texts
from kexp.system.passwords import hide_password

__all__ = ["compose", "compose_head", "is_sweep", "overrides_of", "plain", "refuse_several"]


def compose(
    overrides: Sequence[str] = (), config_dir: str | Path | None = KEEP, *, with_hydra: bool = False
) -> DictConfig:
    """Composes the config that `python -m kexp OVERRIDES` runs. Hydra's global state is restored afterwards.

    Args:
        overrides: as on the command line: `["optimizer=adam", "trainer.epochs=3"]`.
        config_dir: a folder of YAML that takes precedence over kexp's own in this call, as `--config-dir`; None for
            none; the command line's by default.
        with_hydra: whether to keep Hydra's own node, `hydra`.

    Returns:
        The config, interpolations unresolved.
    """
    from hydra.types import RunMode

    with open_hydra(config_dir) as hydra:
        config: DictConfig = hydra.compose_config("config", list(overrides), RunMode.RUN, from_shell=False)
    _hide_passwords(config)
    if not with_hydra:
        with open_dict(config):
            del config["hydra"]
    return name_default_optimizer(config)


def compose_head(hydra: Any, overrides: Sequence[str], config_name: str = "config") -> DictConfig:
    """Composes the config of a run, or the config of a sweep without its axes.

    An override may fit only some options of a swept group: `optimizer=sgd,adam optimizer.momentum=0.9`. If it does not
    fit the group's default, the config is composed of the group choices and Hydra's and the sweep's settings alone.

    Args:
        hydra: an open Hydra; see `open_hydra`.
        overrides: as on the command line.
        config_name: the name of the primary config.

    Raises:
        HydraException: the overrides cannot be composed.
        ConfigError: `hydra.job.env_copy` names a missing environment variable.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from hydra.types import RunMode

    def composed(some: Sequence[str]) -> DictConfig:
        try:
            found: DictConfig = hydra.compose_config(
                config_name, list(some), RunMode.RUN, validate_sweep_overrides=False
            )
        except KeyError as error:  # Hydra reads the environment unchecked
            raise ConfigError(f"hydra.job.env_copy: there is no environment variable {error.args[0]!r}") from error
        _hide_passwords(found)
        return name_default_optimizer(found)

    try:
        return composed(overrides)
    except HydraException:
        groups = hydra.config_loader.list_groups("")
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        chosen = [each for each in parsed if each.key_or_group in groups or "/" in each.key_or_group]
        if not any(each.is_sweep_override() for each in chosen):
            raise
        kept = [each for each in parsed if each in chosen or each.key_or_group.startswith(("hydra.", "sweep."))]
        config = composed([str(each.input_line) for each in kept])
        config.hydra.overrides.task = [str(each.input_line) for each in parsed if not each.is_hydra_override()]
        return config


def _hide_passwords(config: DictConfig) -> None:
    """Hides passwords that come from the user's YAML, because Hydra saves the config beside each run."""
    for place, value in texts(OmegaConf.to_container(config)):  # interpolations unresolved: they hold no password
        if hide_password(value) != value:
            node: Any = config
            for name in place[:-1]:
                node = node[name]
            node[place[-1]] = hide_password(value)


def overrides_of(config: Any, kind: str = "task") -> list[str]:
    """Returns the overrides that a config was composed of, as written; interpolations stay unresolved.

    Args:
        config: a config with Hydra's own node.
        kind: `task`, or `hydra` for overrides of Hydra's own settings.
    """
    found = OmegaConf.to_container(config.hydra.overrides[kind], resolve=False)
    return [str(each) for each in found or ()]


def is_sweep(config: DictConfig) -> bool:
    """Returns whether the config itself asks for a sweep by `hydra.mode`."""
    from hydra.types import RunMode

    return bool(config.hydra.mode is RunMode.MULTIRUN)


def refuse_several(hydra: Any, overrides: Sequence[str]) -> None:
    """Refuses an override with several values in a single run.

    Args:
        hydra: an open Hydra; see `open_hydra`.
        overrides: as on the command line.

    Raises:
        HydraException: an override has several values.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    if any("," in each or "(" in each for each in overrides):
        parsed = OverridesParser.create(hydra.config_loader).parse_overrides(list(overrides))
        hydra.config_loader.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=True)


def _run_name_template(config: DictConfig) -> str | None:
    """Returns the template of run names, which is filled in later from the resolved config; None if there is none."""
    tracking = config._get_node("tracking")
    node = tracking._get_node("run_name") if isinstance(tracking, DictConfig) else None
    value = None if node is None else node._value()
    return value if isinstance(value, str) and "${" in value else None


def plain(config: DictConfig) -> dict[str, Any]:
    """Converts a config to a nested dict, with interpolations resolved and without Hydra's own node."""
    template = _run_name_template(config)
    if template is not None:
        config = OmegaConf.merge(config, {"tracking": {"run_name": None}})  # type: ignore[assignment]
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    assert isinstance(container, dict)
    if template is not None:
        container["tracking"]["run_name"] = template
    return {str(key): value for key, value in container.items() if key != "hydra"}

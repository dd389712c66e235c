"""From overrides to a plain config, outside Hydra's own command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from kexp.config.left_open import name_what_is_set
from kexp.config.opened import opened
from kexp.config.source import KEEP
from kexp.errors import ConfigError
from kexp.passwords import SECRET_KEYS, hidden

__all__ = ["compose", "compose_head", "is_sweep", "overrides_of", "plain", "refuse_several"]


def compose(
    overrides: Sequence[str] = (), config_dir: str | Path | None = KEEP, *, with_hydra: bool = False
) -> DictConfig:
    """The config that `python -m kexp OVERRIDES` runs. Leaves Hydra as it is, in the middle of a sweep, say.

    Args:
        overrides: as on the command line: `["optimizer=adam", "trainer.epochs=3"]`.
        config_dir: a folder of YAML that wins over kexp's own, as `--config-dir`, for this call; None for none, and the
            command line's unless given.
        with_hydra: keep Hydra's own node, `hydra`.
    """
    from hydra.types import RunMode

    with opened(config_dir) as hydra:
        config: DictConfig = hydra.compose_config("config", list(overrides), RunMode.RUN, from_shell=False)
    _hide_passwords(config)
    if not with_hydra:
        with open_dict(config):
            del config["hydra"]
    return name_what_is_set(config)


def compose_head(hydra: Any, overrides: Sequence[str], config_name: str = "config") -> DictConfig:
    """The config of a run, or of a sweep as a whole, of which axes are no part.

    A value that only some options of a swept group take, `optimizer=sgd,adam optimizer.momentum=0.9`, is a matter of
    those trials: where it does not fit the group's default, the config is that of the choices alone.

    Args:
        hydra: opened.
        overrides: as on the command line.
        config_name: of the primary config.

    Raises:
        HydraException: they cannot be composed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from hydra.types import RunMode

    def composed(some: Sequence[str]) -> DictConfig:
        try:
            found: DictConfig = hydra.compose_config(
                config_name, list(some), RunMode.RUN, validate_sweep_overrides=False
            )
        except KeyError as error:  # Hydra reads the environment without looking
            raise ConfigError(f"hydra.job.env_copy: there is no environment variable {error.args[0]!r}") from error
        _hide_passwords(found)
        return name_what_is_set(found)

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
    """Those that stand in a file of the user's: Hydra keeps the config beside each run."""
    for key in SECRET_KEYS:
        node, _, name = key.rpartition(".")
        there = OmegaConf.select(config, node)
        if there is None or name not in there or OmegaConf.is_interpolation(there, name):
            continue  # what refers to the environment is kept as it refers
        if isinstance(written := there[name], str) and hidden(written) != written:
            there[name] = hidden(written)


def overrides_of(config: Any, kind: str = "task") -> list[str]:
    """The overrides that a config was composed of, as they were written: what the environment holds stays there.

    Args:
        config: with Hydra's own node.
        kind: `task`, or `hydra` for those of Hydra's own settings.
    """
    found = OmegaConf.to_container(config.hydra.overrides[kind], resolve=False)
    return [str(each) for each in found or ()]


def is_sweep(config: DictConfig) -> bool:
    """Whether the config says by itself, `hydra.mode`, that it is a sweep's."""
    from hydra.types import RunMode

    return bool(config.hydra.mode is RunMode.MULTIRUN)


def refuse_several(hydra: Any, overrides: Sequence[str]) -> None:
    """Refuses an override with several values in a single run.

    Raises:
        HydraException: there is one.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    if any("," in each or "(" in each for each in overrides):
        parsed = OverridesParser.create(hydra.config_loader).parse_overrides(list(overrides))
        hydra.config_loader.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=True)


def _taken_out(config: DictConfig) -> str | None:
    """The template of runs' names, which is filled in once all of the config is settled; None where there is none."""
    tracking = config._get_node("tracking")
    node = tracking._get_node("run_name") if isinstance(tracking, DictConfig) else None
    value = None if node is None else node._value()
    return value if isinstance(value, str) and "${" in value else None


def plain(config: DictConfig) -> dict[str, Any]:
    """The config as a nested dict, interpolations resolved, less Hydra's own node."""
    template = _taken_out(config)
    if template is not None:
        config = OmegaConf.merge(config, {"tracking": {"run_name": None}})  # type: ignore[assignment]
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    assert isinstance(container, dict)
    if template is not None:
        container["tracking"]["run_name"] = template
    return {str(key): value for key, value in container.items() if key != "hydra"}

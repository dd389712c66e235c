"""A run's config, checked again, with overrides where the user gives them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from kexp.errors import ConfigError, LoadError, first_line
from kexp.groups import GROUPS
from kexp.schema import Experiment, check
from kexp.stored.runs import StoredRun

__all__ = ["load_experiment"]

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_METRIC_NAME = re.compile(r"metrics\.([^.]+)\.name")


_NOT_GIVEN = ("null", "None")  # how stores write a parameter that is not set, now and before


def load_experiment(
    run: StoredRun, overrides: Sequence[str] = (), *, allowed: Collection[str] = (), settle: bool = True
) -> Experiment:
    """The experiment that a run was of.

    Environment variables that the config refers to are read again, because their values are not kept with the run.

    Args:
        run: the run.
        overrides: as on the command line: `["data=csv", "data.path=new.csv"]`.
        allowed: the config nodes that may be overridden; all unless given.
        settle: choose what was left to the data (`loss=auto`) as the run did.

    Raises:
        LoadError: the run has no config, or one that names code while the run is not trusted.
        ConfigError: the config cannot be any more, a plugin having gone, say; or an override is wrong.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from kexp.config import plain

    text = run.text("config.yaml")
    if text is None:
        if "kexp.sweep.name" in run.view.tags:
            raise LoadError(f"{run.label} is a sweep; its best trial is best:{run.view.name}")
        why = "it is still running" if run.view.status == "RUNNING" else "it ended before, or is no run of kexp's"
        raise LoadError(f"{run.label} has recorded no config.yaml: {why}")
    try:
        config = OmegaConf.create(text)
        if not isinstance(config, DictConfig):
            raise LoadError(f"{run.label}: config.yaml is not a config")
        if not run.trusted:
            _refuse_references(run, OmegaConf.to_container(config, resolve=False))
        _override(config, overrides, allowed)
        experiment = check(plain(config))
    except ConfigError as error:
        if overrides:
            raise
        raise ConfigError(f"{run.label}: {error}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"{run.label}: {first_line(error)}") from error
    except (ValueError, YAMLError) as error:
        raise LoadError(f"{run.label}: config.yaml cannot be read: {first_line(error)}") from error
    return _settled(experiment, run.view.params) if settle else experiment


def _settled(experiment: Experiment, params: Mapping[str, str]) -> Experiment:
    """With the choices that the run noted as its parameters; those not noted stay open until the data is read."""
    metrics = {found.group(1): name for key, name in params.items() if (found := _METRIC_NAME.fullmatch(key))}
    if "loss.name" not in params or (experiment.metrics_follow_data and not metrics):
        return experiment
    targets = {
        key.removesuffix(".targets"): form
        for key, form in params.items()
        if key.endswith(".targets") and form not in _NOT_GIVEN
    }
    return experiment.choosing(params["loss.name"], metrics, targets)


def _refuse_references(run: StoredRun, config: Any) -> None:
    for path, value in _texts("", config):
        if path.partition(".")[0] not in ("name", "tracking") and _REFERENCE.fullmatch(value):
            raise LoadError(
                f"{run.label}: its config names code, {path}={value}, which would run here; "
                "the store is a server, so say that you trust the run (--trust, trusted=True)"
            )


def _texts(path: str, node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts(f"{path}.{key}" if path else str(key), value)
    elif isinstance(node, Sequence):
        for index, value in enumerate(node):
            yield from _texts(f"{path}[{index}]", value)


def _override(config: Any, overrides: Sequence[str], allowed: Collection[str]) -> None:
    """Puts overrides into a config that was composed before: a group's choice replaces its node, a value sets it."""
    if not overrides:
        return
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    from kexp.config import compose_typed, explain, prepare_overrides

    overrides = prepare_overrides(overrides)
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise explain(error, overrides) from error
    # The option that the run has already keeps the run's parameters.
    chosen = [
        each.key_or_group
        for each in parsed
        if each.key_or_group in GROUPS and each.value() != OmegaConf.select(config, f"{each.key_or_group}.name")
    ]
    kept = [each for each in parsed if each.key_or_group in GROUPS and each.key_or_group not in chosen]
    for each in parsed:
        top = each.key_or_group.partition(".")[0]
        if allowed and top not in allowed:
            raise ConfigError(f"{each.key_or_group}: only {', '.join(sorted(allowed))} can be overridden here")
        if each.is_sweep_override():
            raise ConfigError(f"{each.key_or_group}: must be one value here, got {each.get_value_element_as_str()}")
    if chosen:
        # What is set below a chosen group belongs to its new option, and is composed with it.
        composed = [each.input_line or "" for each in parsed if each.key_or_group.partition(".")[0] in chosen]
        fresh = compose_typed(composed)
        for group in chosen:
            config[group] = OmegaConf.to_container(fresh[group], resolve=False)
    for each in parsed:
        if each.key_or_group.partition(".")[0] in chosen or each in kept:
            continue
        if each.is_delete():
            raise ConfigError(f"{each.key_or_group}: cannot be taken away here; give it a value")
        OmegaConf.update(config, each.key_or_group, each.value(), force_add=True)

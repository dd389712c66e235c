"""Loads and checks a run's config, with optional overrides."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from kexp.errors import ConfigError, LoadError, first_line
from kexp.registry.groups import GROUPS
from kexp.schema import Experiment, check
from kexp.stored.runs import StoredRun

__all__ = ["load_experiment"]

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_METRIC_NAME = re.compile(r"metrics\.([^.]+)\.name")


_UNSET = ("null", "None")  # the text of an unset parameter in the store, of this and older versions


def load_experiment(
    run: StoredRun, overrides: Sequence[str] = (), *, allowed: Collection[str] = (), settle: bool = True
) -> Experiment:
    """Loads the experiment of a run.

    Environment variables that the config refers to are read again, because their values are not stored with the run.

    Args:
        run: the run.
        overrides: overrides as on the command line: `["data=csv", "data.path=new.csv"]`.
        allowed: the config nodes that may be overridden; all unless given.
        settle: whether to set what the config left to the data (`loss=auto`) to the run's choices.

    Raises:
        LoadError: the run has no config, or its config names code and the run is not trusted.
        ConfigError: the config is no longer valid, for example because a plugin is missing, or an override is invalid.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from kexp.config import plain

    text = run.text("config.yaml")
    if text is None:
        if "kexp.sweep.name" in run.view.tags:
            raise ConfigError(f"RUN: {run.label} is a sweep; its best trial is best:{run.view.name}")
        why = "it is still running" if run.view.status == "RUNNING" else "it ended before, or is not a run of kexp"
        raise LoadError(f"{run.label} has recorded no config.yaml: {why}")
    try:
        config = OmegaConf.create(text)
        if not isinstance(config, DictConfig):
            raise LoadError(f"{run.label}: config.yaml is not a config")
        if not run.trusted:
            _refuse_references(run, OmegaConf.to_container(config, resolve=False))
        _override(config, overrides, allowed)
        if "keras" not in sys.modules and config.get("backend"):  # which the user's modules import
            os.environ["KERAS_BACKEND"] = str(config.backend)
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
    """Sets the choices that the run recorded as parameters; others are left to the data."""
    metrics = {found.group(1): name for key, name in params.items() if (found := _METRIC_NAME.fullmatch(key))}
    if "loss.name" not in params or (experiment.metrics_follow_data and not metrics):
        return experiment
    targets = {
        key.removesuffix(".targets"): form
        for key, form in params.items()
        if key.endswith(".targets") and form not in _UNSET
    }
    return experiment.choosing(params["loss.name"], metrics, targets)


def _refuse_references(run: StoredRun, config: Any) -> None:
    for path, value in _texts("", config):
        if path.partition(".")[0] not in ("name", "tracking") and _REFERENCE.fullmatch(value):
            raise LoadError(
                f"{run.label}: its config names code, {path}={value}, which would run here; "
                "the store is a server, so state that you trust the run (--trust, trusted=True)"
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
    """Applies overrides to a composed config: a group choice replaces its node, any other override sets a value."""
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
    # A choice of the option that the run already has keeps the run's parameters.
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
        # Values below a chosen group belong to its new option, and are composed with it.
        composed = [each.input_line or "" for each in parsed if each.key_or_group.partition(".")[0] in chosen]
        fresh = compose_typed(composed)
        for group in chosen:
            config[group] = OmegaConf.to_container(fresh[group], resolve=False)
    for each in parsed:
        if each.key_or_group.partition(".")[0] in chosen or each in kept:
            continue
        if each.is_delete():
            raise ConfigError(f"{each.key_or_group}: cannot be removed here; give it a value")
        OmegaConf.update(config, each.key_or_group, each.value(), force_add=True)

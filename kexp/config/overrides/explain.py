"""Turns Hydra's errors about overrides into one sentence with the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kexp import registry
from kexp.config.compose import compose
from kexp.config.options import NO_NODE
from kexp.config.overrides.prepare import cannot_remove
from kexp.config.overrides.quoting import in_shell
from kexp.config.overrides.suggestions import suggest_key, suggest_name
from kexp.config.source import HYDRA_PARTS, SETTINGS_GROUPS
from kexp.errors import ConfigError, KexpError, UnknownNameError, first_line
from kexp.registry.groups import GROUPS, key_of
from kexp.schema import AUTO, DEFAULT_OPTIMIZER
from kexp.signatures import to_snake_case

__all__ = ["explain", "explain_grammar"]


def explain(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """Turns an exception of Hydra's into a ConfigError with one sentence.

    Args:
        error: the exception that composing raised.
        overrides: the overrides that were composed.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigError):
            return cause
        cause = cause.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_option(error)
    if isinstance(error, OverrideParseException):
        return _reference_in_key(error) or explain_grammar(error)
    text = str(error)
    for pattern, sentence in _SENTENCES:
        if found := re.match(pattern, text):
            return ConfigError(sentence(*found.groups()))
    found = re.search(r"Could not (?:override|delete from config)\.? '?([\w@/.:-]+)'?", text)
    found = found or re.search(r"Could not override '([^']+)'", text)
    return ConfigError(_first_lines(error)) if found is None else _unknown_key(found.group(1), overrides, text)


def _chosen_twice(group: str) -> str:
    return f"{group}: has a choice already; write {group}=..., without a plus"


def _exists_already(key: str, plain: str) -> str:
    return f"{key}: is there already; write {plain}, without a plus"


def _several_values(override: str, key: str, values: str) -> str:
    listed = in_shell(f"{key}=[{values}]")
    as_list = f"; one list is {listed}" if key not in GROUPS or GROUPS[key].several else ""
    return f"{key}: takes one value here, got {values}; a sweep over them is kexp -m {in_shell(override)}{as_list}"


def _sweep(override: str, key: str, values: str) -> str:
    return f"{key}: takes one value here, got {values}; a sweep is kexp -m {in_shell(override)}"


def _no_mapping(key: str, value: str) -> str:
    key = key.lstrip("+")
    if value.startswith("{"):
        return f"{key}: takes no mapping, got {value}"
    return f"{key}: must be a mapping, or be set key by key, {key}.KEY=VALUE, got {value or 'nothing'}"


# Hydra's message (a pattern) -> kexp's sentence.
_SENTENCES: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"Multiple values for ([\w/]+)\.", _chosen_twice),
    (r"force-add of config groups is not supported: '\++([\w/]+)", _chosen_twice),
    (r"Could not append to config\. An item is already at '([^']+)'\.\s+Either .*: '(.+)'", _exists_already),
    (r"Ambiguous value for argument '(([^=]+)=(.*))'", _several_values),
    (r"Sweep parameters '(([^=]+)=(.*))' requires --multirun", _sweep),
    (r"Could not delete '([\w/]+)", cannot_remove),
    (r"Error merging override ([^=]+)=(.*)", _no_mapping),
)


def _reference_in_key(error: OverrideParseException) -> ConfigError | None:
    group, _, reference = key_of(str(error.override)).partition(".")
    if group not in GROUPS or ":" not in reference:
        return None
    plain = f"{group}.{reference.partition(':')[2]}"
    return ConfigError(f"{group}.{reference}: a key has no colon; write the name behind the colon alone: {plain}")


def explain_grammar(error: OverrideParseException) -> ConfigError:
    """Turns Hydra's message about an override that its grammar cannot read into one sentence.

    Args:
        error: the exception of Hydra's parser.
    """
    text = str(error)
    unknown = re.search(r"Unknown function '(\w+)'\s+Available: ([\w,]+)", text)
    if unknown:
        return UnknownNameError(str(error.override), "function", unknown[1], unknown[2].split(","))
    around = ("Error parsing override", "See https://")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(around)]
    message = re.sub(r"^\w+ while evaluating '.*': ", "", lines[0]) if lines else "Hydra cannot read it"
    message = re.sub("^no viable alternative at input", "Hydra cannot read it at", message)
    return ConfigError(f"{error.override}: {message}")


def _unknown_option(error: MissingConfigException) -> ConfigError:
    path = str(error.missing_cfg_file).removesuffix(".yaml").lstrip("/")
    if str(error).startswith("Cannot find primary config"):
        folders = re.findall(r"path=file://(.*)", str(error))
        configs = {file.stem for folder in folders for file in Path(folder).glob("*.yaml")}
        return UnknownNameError("--config-name", "config", path, configs)
    group = next((each for each in (*GROUPS, *SETTINGS_GROUPS, *HYDRA_PARTS) if path.startswith(f"{each}/")), "")
    group = group or path.rpartition("/")[0]
    name = path.removeprefix(f"{group}/")
    known = set(error.options or ())
    if group in GROUPS:
        known |= set(registry.names(group))
    if not group:
        return ConfigError(_first_lines(error))
    noun = GROUPS[group].noun if group in GROUPS else group.rpartition("/")[2]
    if suggested := suggest_name(group, name, known):
        return ConfigError(f"{group}: there is no {noun} {name!r}{suggested}")
    return UnknownNameError(group, noun, name, known)


def _unknown_key(key: str, overrides: Sequence[str], text: str, written: str = "") -> ConfigError:
    """Returns the error for an unknown key; `written` is the override if `key` is only the beginning of its key."""
    config = _config_without(key, overrides)
    if config is None:
        return ConfigError(f"{key}: there is no such key")
    key, value = _innermost(key, overrides, config)
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else config
    if node is None:
        setting_it = [each for each in overrides if key_of(each) == key]
        others = [each for each in overrides if each not in setting_it]
        return _unknown_key(parent, others, text, written or next(iter(setting_it), key))
    if written:
        value = written.partition("=")[2]
    return ConfigError(f"{key}: {_why_unknown(key, value, config, node, key_of(written))}")


def _why_unknown(key: str, value: str, config: DictConfig, node: Any, written: str) -> str:
    """Returns why `node`, the key's parent, does not have the key; `written` is the whole key of the override."""
    parent, _, leaf = key.rpartition(".")
    if "@" in key:
        return f"there is one {key.partition('@')[0]}; write {key.partition('@')[0]}={value}"
    if not isinstance(node, DictConfig):
        return f"there is no such key; {parent} is a value, and has no keys of its own"
    known = {str(each) for each in node if not str(each).startswith("_")} - {"hydra"}
    if not parent:
        known |= set(GROUPS) - set(NO_NODE)
    if leaf in known:  # a group of which no option is chosen
        group = next((each.name for each in GROUPS.values() if each.package == key), None)
        return f"has no choice yet; write {f'{group}=NAME' if group else f'+{key}=...'}"
    offered = next((each for each in (leaf, to_snake_case(leaf)) if registry.offers(parent, each)), None)
    if parent in GROUPS and GROUPS[parent].several and offered:
        return f"{offered} is not chosen; choose it by {parent}=[{','.join([*map(str, node), offered])}]"
    what = f"parameter of {parent}" if parent else "key"
    if parent.split(".")[0] in GROUPS and isinstance(node.get("name"), str):
        is_auto = (parent, node.name) == ("optimizer", AUTO)
        what = f"parameter of {parent} {DEFAULT_OPTIMIZER if is_auto else node.name}"
        known -= {"name"}
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    suggested = suggest_key(key, {str(k): v for k, v in container.items()}, known, value, written)
    return f"there is no {what} {leaf!r}{suggested}"


def _innermost(key: str, overrides: Sequence[str], config: DictConfig) -> tuple[str, str]:
    """Returns the unknown key, which may be inside a mapping, and its value, or `...` if that is long."""
    written = next((each.partition("=")[2] for each in overrides if key_of(each) == key and "=" in each), "...")
    value = written if len(written) <= 30 else "..."
    try:
        parsed = OverridesParser.create().parse_override(f"{key}={written}").value()
    except HydraException:
        return key, value
    while isinstance(parsed, Mapping):
        node = OmegaConf.select(config, key)
        unknown = [name for name in parsed if not isinstance(node, DictConfig) or name not in node]
        inner = [name for name, each in parsed.items() if isinstance(each, Mapping)]
        if not isinstance(node, DictConfig) or not (unknown or inner):
            break
        name = (unknown or inner)[0]
        key, parsed = f"{key}.{name}", parsed[name]
        value = "..." if isinstance(parsed, (Mapping, list)) else str(parsed)
        if unknown:
            break
    return key, value


def _config_without(key: str, overrides: Sequence[str]) -> DictConfig | None:
    """Composes the config without the override of `key`, to find the keys beside it.

    If another override is wrong too, only the choices of groups are composed.
    """
    others = [one for each in overrides if key_of(each) != key for one in _first_value(each)]
    for kept in (others, [each for each in others if key_of(each) in GROUPS], []):
        try:
            return compose(kept, with_hydra=True)
        except (HydraException, OmegaConfBaseException, KexpError):
            continue
    return None


def _first_value(override: str) -> list[str]:
    """Returns the override with the first of its values if it sweeps over several; empty if it cannot be parsed."""
    try:
        parsed = OverridesParser.create().parse_override(override)
        if not parsed.is_sweep_override():
            return [override]
        return [f"{parsed.get_key_element()}={next(parsed.sweep_string_iterator())}"]
    except (HydraException, NotImplementedError, StopIteration):
        return []


def _first_lines(error: BaseException) -> str:
    """Returns the first two lines of the error's message, or of its cause's if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
    if not lines and error.__cause__ is not None:
        return _first_lines(error.__cause__)
    return "; ".join(lines[:2]) or first_line(error)

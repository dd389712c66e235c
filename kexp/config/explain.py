"""Hydra's complaints about overrides, as one sentence with the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kexp import registry
from kexp.config.compose import compose, key_of
from kexp.config.source import SETTINGS_GROUPS
from kexp.errors import ConfigError, KexpError, UnknownNameError, first_line
from kexp.groups import GROUPS
from kexp.schema import AUTO, DEFAULT_OPTIMIZER

__all__ = ["check_overrides", "explain", "explain_grammar"]


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuses what Hydra has no sentence for: no key, a number in the place of an option, several where one can be.

    Raises:
        ConfigError: there is one.
    """
    if isinstance(overrides, str) or not all(isinstance(each, str) for each in overrides):
        raise ConfigError.at("overrides", 'must be a list of texts such as ["optimizer=adam", "seed=3"]', overrides)
    for each in overrides:
        if each.startswith("-"):
            raise ConfigError(f"{each!r} is a flag of the command line, and no override; write KEY=VALUE")
        key, (_, given, value) = key_of(each), each.partition("=")
        if given and not key.strip():
            raise ConfigError(f"{each!r} is no override; write KEY=VALUE")
        is_group = key in GROUPS or key in SETTINGS_GROUPS or key == "experiment" or key.startswith("hydra/")
        if is_group and re.fullmatch(r"[-+\d.]+|true|false|null", value, re.IGNORECASE):
            none = f"; {key}=[] is none" if key in GROUPS and GROUPS[key].several else ""
            raise ConfigError(f"{key}: must be the name of an option, got {value}{none}")
        if key in GROUPS and value.startswith("[") and not GROUPS[key].several:
            raise ConfigError.at(key, f"must be one {GROUPS[key].noun}; several are a sweep, -m {key}=A,B", value)


def explain(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """What is wrong with `overrides`, given what Hydra raised over them."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigError):
            return cause
        cause = cause.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_option(error)
    text = str(error)
    again = re.match(r"Multiple values for ([\w/]+)\.", text)
    if again:
        return ConfigError(f"{again[1]}: has a choice already; write {again[1]}=..., without a plus")
    if isinstance(error, OverrideParseException):
        group, _, reference = key_of(str(error.override)).partition(".")
        if group in GROUPS and ":" in reference:
            plain = f"{group}.{reference.partition(':')[2]}"
            return ConfigError(
                f"{group}.{reference}: a key has no colon; what a reference names goes by its own name: {plain}"
            )
        return explain_grammar(error)
    found = re.search(r"Could not (?:override|append to config|delete from config)\.? '?([\w@/.:]+)'?", text)
    found = found or re.search(r"Could not override '([^']+)'", text)
    return ConfigError(_flat(error)) if found is None else _unknown_key(found.group(1), overrides, text)


def explain_grammar(error: OverrideParseException) -> ConfigError:
    """What is wrong with an override that Hydra cannot read, without Hydra's lines around it."""
    text = str(error)
    unknown = re.search(r"Unknown function '(\w+)'\s+Available: ([\w,]+)", text)
    if unknown:
        return UnknownNameError(str(error.override), "function", unknown[1], unknown[2].split(","))
    around = ("Error parsing override", "See https://")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(around)]
    said = re.sub(r"^\w+ while evaluating '.*': ", "", lines[0]) if lines else "Hydra cannot read it"
    said = re.sub("^no viable alternative at input", "Hydra cannot read it at", said)
    return ConfigError(f"{error.override}: {said}")


def _unknown_option(error: MissingConfigException) -> ConfigError:
    group, _, name = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    known = set(error.options or ())
    if group in GROUPS:
        known |= set(registry.names(group))
    if not group:
        return ConfigError(_flat(error))
    noun = GROUPS[group].noun if group in GROUPS else group.rpartition("/")[2]
    return UnknownNameError(group, noun, name, known)


def _unknown_key(key: str, overrides: Sequence[str], text: str) -> ConfigError:
    parent, _, leaf = key.rpartition(".")
    config = _around(key, overrides)
    if config is None:
        return ConfigError(f"{key}: there is no such key")
    node = OmegaConf.select(config, parent) if parent else config
    if node is None:
        return _unknown_key(parent, overrides, text)
    if not isinstance(node, DictConfig):
        return ConfigError(f"{key}: there is no such key; {parent} takes no parameters")
    known = {str(each) for each in node if not str(each).startswith("_")} - {"hydra"}
    if not parent:
        known |= set(GROUPS)
    if leaf in known:  # a group of which no option is chosen
        return ConfigError(f"{key}: has no choice yet; write +{key}=...")
    what = f"parameter of {parent}" if parent else "key"
    if parent.split(".")[0] in GROUPS and isinstance(node.get("name"), str):
        name = (
            DEFAULT_OPTIMIZER if (parent, node.name) == ("optimizer", AUTO) else node.name
        )  # whose settings these are
        what = f"parameter of {parent} {name}"
        known -= {"name"}
    return UnknownNameError(key, what, leaf, known)


def _around(key: str, overrides: Sequence[str]) -> DictConfig | None:
    """The config without the override of `key`: the keys beside which it would have stood.

    Where another override is wrong too, only the choices of groups count.
    """
    others = [one for each in overrides if key_of(each) != key for one in _one_value(each)]
    for kept in (others, [each for each in others if key_of(each) in GROUPS], []):
        try:
            return compose(kept, with_hydra=True)
        except (HydraException, OmegaConfBaseException, KexpError):
            continue
    return None


def _one_value(override: str) -> list[str]:
    """The override, with the first of its values where it sweeps over several; nothing where that cannot be told."""
    try:
        parsed = OverridesParser.create().parse_override(override)
        if not parsed.is_sweep_override():
            return [override]
        return [f"{parsed.get_key_element()}={next(parsed.sweep_string_iterator())}"]
    except (HydraException, NotImplementedError, StopIteration):
        return []


def _flat(error: BaseException) -> str:
    """The first lines of what the error says, or of what caused it where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
    if not lines and error.__cause__ is not None:
        return _flat(error.__cause__)
    return "; ".join(lines[:2]) or first_line(error)

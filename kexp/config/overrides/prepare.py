"""Converts overrides as typed for Hydra, and refuses those that Hydra would misread or report unclearly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from kexp.config.options import NO_NODE, as_overrides
from kexp.config.overrides.quoting import quote_text
from kexp.config.overrides.suggestions import options, suggest_key_of, suggest_name, suggest_override
from kexp.config.source import SETTINGS_GROUPS
from kexp.errors import ConfigError, suggestion
from kexp.registry.groups import GROUPS, key_of
from kexp.system.passwords import hide_passwords

__all__ = ["cannot_remove", "prepare_overrides"]

_SETTINGS_LIKE = (*SETTINGS_GROUPS, "experiment", "sweep")  # groups whose options are not components
_NOT_A_NAME = r"[-+\d.eE]+|true|false|null|\s*"
_FREE_KEYS = "tracking.tags."  # the user may add any key below
# Keys under `hydra` that Hydra sets itself; docs/hydra.md says what kexp does with each of Hydra's keys.
_FILLED_IN = ("overrides", "job.override_dirname", "job.id", "job.num", "job.config_name", "runtime")


def prepare_overrides(overrides: Sequence[str]) -> list[str]:
    """Converts overrides as typed to overrides that Hydra accepts; a component with parameters becomes one option.

    Args:
        overrides: as on the command line.

    Raises:
        ConfigError: an override has no key or no value, or Hydra could not name what is wrong with its value.
    """
    listed = isinstance(overrides, Iterable) and not isinstance(overrides, (str, Mapping))
    given = list(overrides) if listed else []
    if not listed or not all(isinstance(each, str) for each in given):
        raise ConfigError.at("overrides", 'must be a list of texts such as ["optimizer=adam", "seed=3"]', overrides)
    overrides = hide_passwords(given)
    for place, each in enumerate(overrides):
        if each.startswith("-"):
            raise ConfigError(f"{each!r} is a flag of the command line, not an override; write KEY=VALUE")
        spaced = "".join(overrides[place + 1 : place + 3]).lstrip(":=")
        if "=" not in each and not each.startswith("~"):
            raise _not_an_override(each, spaced)
        if re.fullmatch(r"[\w./]+\s*=", each) and place + 1 < len(overrides) and "=" not in overrides[place + 1]:
            raise _not_an_override(each, overrides[place + 1])
    _refuse_filled_in(overrides)
    _refuse_twice(overrides)
    prepared = []
    for each in overrides:
        key, value = key_of(each), each.partition("=")[2]
        if not key.strip() and not each.startswith("~"):
            raise ConfigError(f"{each!r} is not an override; write KEY=VALUE")
        if key != key.strip():
            raise ConfigError(f"{each!r} is not an override; write {key.strip()}={value.strip()}, without spaces")
        _check_key(key, value)
        _check_prefix(each, key, value)
        adds_key = f"{key}.".startswith(_FREE_KEYS) and each.startswith(key)
        prepared += as_overrides(quote_text(f"++{each}" if adds_key else each), SETTINGS_GROUPS)
    return prepared


def _refuse_filled_in(overrides: Sequence[str]) -> None:
    """Refuses overrides of keys that Hydra sets itself."""
    for key in map(key_of, overrides):
        if f"{key}.".startswith(tuple(f"hydra.{each}." for each in _FILLED_IN)):
            raise ConfigError(f"{key}: cannot be set, since Hydra fills it in; it can be read as ${{{key}}}")


def _refuse_twice(overrides: Sequence[str]) -> None:
    """Refuses `experiment=a +experiment=b`, of which Hydra ignores the second."""
    chosen = [each for each in overrides if (key := key_of(each)) in (*GROUPS, *_SETTINGS_LIKE) or "/" in key]
    for each in chosen:
        others = [other for other in chosen if other is not each and key_of(other) == key_of(each)]
        if each.startswith("+") and others:
            key = key_of(each)
            both = ",".join(other.partition("=")[2] for other in (*others, each))
            several = f"; both in order are {key}=[{both}]" if key == "experiment" else ""
            raise ConfigError(f"{key}: is chosen twice, by {others[0]} and {each}{several}")


def _not_an_override(word: str, value: str = "") -> ConfigError:
    """Returns the error for a word that is not an override, a command or a flag, with the likely override.

    Args:
        word: the word.
        value: the next word; empty if there is none.
    """
    found = re.fullmatch(r"([-\w./]+)\s*:\s*(.*)", word)
    name, value = (found[1], found[2] or value) if found else (word, value)
    suggested = suggest_override(name, value) or "; write KEY=VALUE"
    return ConfigError(f"{word!r} is not an override{suggested}")


def _check_key(key: str, value: str) -> None:
    """Refuses keys of groups without a node of their own in the config, and values that cannot name an option."""
    group, _, leaf = key.replace("/", ".", 1 if key.partition("/")[0] in GROUPS else 0).partition(".")
    if "/" in key and group in GROUPS:
        raise ConfigError(f"{key}: there is no such group{suggest_override(key, value)}")
    if group in NO_NODE:
        raise ConfigError(f"{key}: there is no {group} by itself; it is chosen in {NO_NODE[group]}")
    if leaf == "name" and group in GROUPS and not GROUPS[group].several:
        raise ConfigError(f"{key}: is chosen by its group; write {group}={value}")
    package = GROUPS[group].package if group in GROUPS else ""
    if leaf and package:
        raise ConfigError(f"{key}: its key is {package}.{leaf}")
    if key not in _SETTINGS_LIKE and not key.startswith("hydra/"):
        return
    one = re.fullmatch(_NOT_A_NAME, value, re.IGNORECASE)
    listed = value.startswith("[") and not (key == "experiment" and _is_list_of_names(value))
    mapping = value.startswith("{") and (key == "experiment" or key.startswith("hydra/"))
    if one or listed or mapping:
        got = value if value.strip() else "nothing"
        suggested = suggest_name(key, value, options(key)) or suggestion("", sorted(options(key)))
        raise ConfigError(f"{key}: must be the name of an option, got {got}{suggested}")


def _check_prefix(override: str, key: str, value: str) -> None:
    """Refuses `+KEY` for a key that exists under another name, and `~GROUP` for a group that every experiment has."""
    if override.startswith("+") and (suggested := suggest_key_of(key, value)):
        raise ConfigError(f"{key}: there is no key {key!r}{suggested}")
    if override.startswith("~") and key in GROUPS and not GROUPS[key].several and not GROUPS[key].package:
        raise ConfigError(cannot_remove(key))


def _is_list_of_names(value: str) -> bool:
    """Returns whether a value is a list of names."""
    names = [each.strip() for each in value.removeprefix("[").removesuffix("]").split(",")]
    return not any(re.fullmatch(_NOT_A_NAME, each, re.IGNORECASE) or set(each) & set("[]{}") for each in names)


def cannot_remove(group: str) -> str:
    """Returns the sentence about an override that removes a group."""
    none = f"{group}=[] is none" if group in GROUPS and GROUPS[group].several else "choose another"
    return f"{group}: cannot be removed; {none}"

"""Hydra's complaints about overrides, as one sentence with the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kexp import registry
from kexp.config.compose import compose
from kexp.config.meant import hint, misnamed, name_meant, options, word_meant
from kexp.config.options import NO_NODE, as_choice, key_of
from kexp.config.source import HYDRA_PARTS, SETTINGS_GROUPS
from kexp.config.table import refuse_filled_in
from kexp.config.text import readable
from kexp.errors import ConfigError, KexpError, UnknownNameError, first_line, suggestion
from kexp.groups import GROUPS
from kexp.passwords import with_hidden
from kexp.schema import AUTO, DEFAULT_OPTIMIZER
from kexp.signatures import to_snake_case

__all__ = ["explain", "explain_grammar", "prepare_overrides"]

_NAMED = (*SETTINGS_GROUPS, "experiment", "sweep")  # groups that are no components
_NO_NAME = r"[-+\d.eE]+|true|false|null|\s*"


_OPEN = "tracking.tags."  # below it keys are the user's own, and are added to those that are there


def prepare_overrides(overrides: Sequence[str]) -> list[str]:
    """The overrides as Hydra takes them, a component with parameters as one option of its group.

    Raises:
        ConfigError: one has no key or no value, or a value that Hydra has no sentence for.
    """
    if isinstance(overrides, str) or not all(isinstance(each, str) for each in overrides):
        raise ConfigError.at("overrides", 'must be a list of texts such as ["optimizer=adam", "seed=3"]', overrides)
    overrides = with_hidden(overrides)
    for place, each in enumerate(overrides):
        if each.startswith("-"):
            raise ConfigError(f"{each!r} is a flag of the command line, and no override; write KEY=VALUE")
        spaced = "".join(overrides[place + 1 : place + 3]).lstrip(":=")
        if "=" not in each and not each.startswith("~"):
            raise _no_override(each, spaced)
        if re.fullmatch(r"[\w./]+\s*=", each) and place + 1 < len(overrides) and "=" not in overrides[place + 1]:
            raise _no_override(each, overrides[place + 1])
    refuse_filled_in(overrides)
    prepared = []
    for each in overrides:
        key, value = key_of(each), each.partition("=")[2]
        if not key.strip() and not each.startswith("~"):
            raise ConfigError(f"{each!r} is no override; write KEY=VALUE")
        if key != key.strip():
            raise ConfigError(f"{each!r} is no override; write {key.strip()}={value.strip()}, without spaces")
        _check_place(key, value)
        _check_mark(each, key, value)
        open_below = f"{key}.".startswith(_OPEN) and each.startswith(key)
        opened = f"++{each}" if open_below else each
        prepared.append(as_choice(readable(opened)))
    return prepared


def _no_override(word: str, value: str = "") -> ConfigError:
    """The error of a word that is no override, command or flag, with the override that it may have meant.

    Args:
        word: the word.
        value: what stands behind it, if anything.
    """
    found = re.fullmatch(r"([-\w./]+)\s*:\s*(.*)", word)
    name, value = (found[1], found[2] or value) if found else (word, value)
    meant = word_meant(name, value) or "; write KEY=VALUE"
    return ConfigError(f"{word!r} is no override{meant}")


def _check_place(key: str, value: str) -> None:
    """Refuses keys of what has no place of its own in the config, and values that are no choice."""
    group, _, leaf = key.replace("/", ".", 1 if key.partition("/")[0] in GROUPS else 0).partition(".")
    if "/" in key and group in GROUPS:
        raise ConfigError(f"{key}: there is no such group{word_meant(key, value)}")
    if group in NO_NODE:
        raise ConfigError(f"{key}: there is no {group} by itself; it is chosen in {NO_NODE[group]}")
    if leaf == "name" and group in GROUPS and not GROUPS[group].several:
        raise ConfigError(f"{key}: is chosen by its group; write {group}={value}")
    package = GROUPS[group].package if group in GROUPS else ""
    if leaf and package:
        raise ConfigError(f"{key}: its key is {package}.{leaf}")
    if key not in _NAMED and not key.startswith("hydra/"):
        return
    one = re.fullmatch(_NO_NAME, value, re.IGNORECASE)
    listed = value.startswith("[") and not (key == "experiment" and _are_names(value))
    mapping = value.startswith("{") and (key == "experiment" or key.startswith("hydra/"))
    if one or listed or mapping:
        got = value if value.strip() else "nothing"
        meant = name_meant(key, value, options(key)) or suggestion("", sorted(options(key)))
        raise ConfigError(f"{key}: must be the name of an option, got {got}{meant}")


def _check_mark(override: str, key: str, value: str) -> None:
    """Refuses to add what stands elsewhere, and to take away what every experiment has."""
    if override.startswith("+") and (meant := misnamed(key, value)):
        raise ConfigError(f"{key}: there is no key {key!r}{meant}")
    if override.startswith("~") and key in GROUPS and not GROUPS[key].several and not GROUPS[key].package:
        raise ConfigError(_taken_away(key))


def _are_names(value: str) -> bool:
    """Whether a list is one of names."""
    names = [each.strip() for each in value.removeprefix("[").removesuffix("]").split(",")]
    return not any(re.fullmatch(_NO_NAME, each, re.IGNORECASE) or set(each) & set("[]{}") for each in names)


def explain(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """What is wrong with `overrides`, given what Hydra raised over them."""
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
    return ConfigError(_flat(error)) if found is None else _unknown_key(found.group(1), overrides, text)


def _chosen_twice(group: str) -> str:
    return f"{group}: has a choice already; write {group}=..., without a plus"


def _there_already(key: str, plain: str) -> str:
    return f"{key}: is there already; write {plain}, without a plus"


def _several_values(override: str, key: str, values: str) -> str:
    as_list = f"; one list is {key}=[{values}]" if key not in GROUPS or GROUPS[key].several else ""
    return f"{key}: takes one value here, got {values}; a sweep over them is kexp -m {override}{as_list}"


def _no_mapping(key: str, value: str) -> str:
    key = key.lstrip("+")
    return f"{key}: must be a mapping, or be set key by key, {key}.KEY=VALUE, got {value or 'nothing'}"


def _taken_away(group: str) -> str:
    none = f"{group}=[] is none" if group in GROUPS and GROUPS[group].several else "choose another"
    return f"{group}: cannot be taken away; {none}"


# What Hydra says, and what it means here.
_SENTENCES: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"Multiple values for ([\w/]+)\.", _chosen_twice),
    (r"force-add of config groups is not supported: '\++([\w/]+)", _chosen_twice),
    (r"Could not append to config\. An item is already at '([^']+)'\.\s+Either .*: '(.+)'", _there_already),
    (r"Ambiguous value for argument '(([^=]+)=(.*))'", _several_values),
    (r"Could not delete '([\w/]+)", _taken_away),
    (r"Error merging override ([^=]+)=(.*)", _no_mapping),
)


def _reference_in_key(error: OverrideParseException) -> ConfigError | None:
    group, _, reference = key_of(str(error.override)).partition(".")
    if group not in GROUPS or ":" not in reference:
        return None
    plain = f"{group}.{reference.partition(':')[2]}"
    return ConfigError(f"{group}.{reference}: a key has no colon; what a reference names goes by its own name: {plain}")


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
    path = str(error.missing_cfg_file).removesuffix(".yaml").lstrip("/")
    group = next((each for each in (*GROUPS, *SETTINGS_GROUPS, *HYDRA_PARTS) if path.startswith(f"{each}/")), "")
    group = group or path.rpartition("/")[0]
    name = path.removeprefix(f"{group}/")
    known = set(error.options or ())
    if group in GROUPS:
        known |= set(registry.names(group))
    if not group:
        return ConfigError(_flat(error))
    noun = GROUPS[group].noun if group in GROUPS else group.rpartition("/")[2]
    if meant := name_meant(group, name, known):
        return ConfigError(f"{group}: there is no {noun} {name!r}{meant}")
    return UnknownNameError(group, noun, name, known)


def _unknown_key(key: str, overrides: Sequence[str], text: str, written: str = "") -> ConfigError:
    """The sentence about a key that there is not; `written` is the override, where the key is its beginning."""
    config = _around(key, overrides)
    if config is None:
        return ConfigError(f"{key}: there is no such key")
    key, value = _inner(key, overrides, config)
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else config
    if node is None:
        ours = [each for each in overrides if key_of(each) == key]
        others = [each for each in overrides if each not in ours]
        return _unknown_key(parent, others, text, written or next(iter(ours), key))
    if written:
        value = written.partition("=")[2]
    return ConfigError(f"{key}: {_why_unknown(key, value, config, node, key_of(written))}")


def _why_unknown(key: str, value: str, config: DictConfig, node: Any, written: str) -> str:
    """What is wrong with a key that `node`, which would have it, does not have; `written` is the override's."""
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
        name = (
            DEFAULT_OPTIMIZER if (parent, node.name) == ("optimizer", AUTO) else node.name
        )  # whose settings these are
        what = f"parameter of {parent} {name}"
        known -= {"name"}
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return f"there is no {what} {leaf!r}{hint(key, {str(k): v for k, v in container.items()}, known, value, written)}"


def _inner(key: str, overrides: Sequence[str], config: DictConfig) -> tuple[str, str]:
    """The key that there is not, inside a mapping too, and the value that it was set to, if that is short."""
    written = next((each.partition("=")[2] for each in overrides if key_of(each) == key and "=" in each), "...")
    value = written if len(written) <= 30 else "..."
    try:
        parsed = OverridesParser.create().parse_override(f"{key}={written}").value()
    except HydraException:
        return key, value
    while isinstance(parsed, Mapping):
        node = OmegaConf.select(config, key)
        strange = [name for name in parsed if not isinstance(node, DictConfig) or name not in node]
        inner = [name for name, each in parsed.items() if isinstance(each, Mapping)]
        if not isinstance(node, DictConfig) or not (strange or inner):
            break
        name = (strange or inner)[0]
        key, parsed = f"{key}.{name}", parsed[name]
        value = "..." if isinstance(parsed, (Mapping, list)) else str(parsed)
        if strange:
            break
    return key, value


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

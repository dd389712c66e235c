"""Suggestions for a wrong word: a key with that last name, an option, a parameter of an option."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from kexp import registry
from kexp.config.compose import compose, plain
from kexp.config.options import NO_NODE
from kexp.config.source import SETTINGS_GROUPS, offered, user_folder
from kexp.errors import ComponentError, nearest, suggestion
from kexp.registry.groups import GROUPS
from kexp.registry.own_code import is_kept, meant_reference
from kexp.system.folders import conf_folder

__all__ = ["options", "suggest_key", "suggest_key_of", "suggest_name", "suggest_override"]

_MOST_SHOWN = 3  # names that a sentence lists
_SIMILARITY = 0.85
_NONE_WORDS = ("none", "null", "no", "off", "false")
_FILES = {  # suffix of a file -> data component
    **dict.fromkeys(("csv", "tsv", "parquet", "feather", "jsonl"), "csv"),
    "npz": "npz",
    "tfrecord": "tfrecord",
}
# The names that pandas, scikit-learn and Keras have for parameters of kexp's data and trainer.
_MEANT = {
    **dict.fromkeys(("sep", "separator", "delim"), "delimiter"),
    **dict.fromkeys(("file", "filename", "filepath", "filepath_or_buffer", "directory", "folder", "url"), "path"),
    **dict.fromkeys(("y", "label", "labels", "target_column", "target_col", "label_column", "response"), "target"),
    **dict.fromkeys(("usecols", "features", "feature_columns", "x"), "columns"),
    **dict.fromkeys(("index_col", "ignore", "exclude", "drop_columns"), "drop"),
    **dict.fromkeys(("na", "missing_values", "null_values"), "na_values"),
    **dict.fromkeys(("sample_weight", "weights", "weight_column"), "weight"),
    **dict.fromkeys(("test_size", "test_fraction", "test_ratio"), "test_split"),
    **dict.fromkeys(("validation_size", "val_size", "val_split"), "validation_split"),
    **dict.fromkeys(("cv", "n_splits", "n_folds", "kfold"), "folds"),
    **dict.fromkeys(("img_size", "target_size"), "image_size"),
    **dict.fromkeys(("num_words", "max_tokens", "max_features", "vocabulary_size"), "words"),
    **dict.fromkeys(("maxlen", "max_length", "sequence_length", "output_sequence_length"), "length"),
    **dict.fromkeys(("lookback", "window_size"), "window"),
    "parse_dates": "dates",
    "thousands": "decimal",
    "sql": "query",
    "random_state": "split_seed",
    "color_mode": "color",
}
# Groups with a node in the config, in the order in which a word is looked up.
_WITH_NODE = ("optimizer", "loss", "metrics", "callbacks", "model", "data", "activation", "schedule")


def suggest_key(key: str, config: Mapping[str, Any], known: set[str], value: str = "...", written: str = "") -> str:
    """Suggests a key in place of an unknown one.

    Args:
        key: the key as written, with dots.
        config: the plain config without it.
        known: the valid names in its place.
        value: its value, if that is short.
        written: the whole key of the override if `key` is only its beginning.

    Returns:
        The end of a sentence, which begins with a semicolon.
    """
    if (written or key) != key or set(key) & set("-/"):
        whole = difflib.get_close_matches(_normalized(written or key), _keys(config), n=1, cutoff=_SIMILARITY)
        if whole and whole[0].rpartition(".")[0]:
            return f"; did you mean {whole[0]}={value}?"
    if exact := _elsewhere(key, config, value):
        return exact
    parent, _, leaf = key.rpartition(".")
    close = nearest(leaf, known)
    by_leaf = (
        {each.rpartition(".")[2]: each for each in reversed(_keys(config))} if close is None and not parent else {}
    )
    close = by_leaf.get(nearest(leaf, by_leaf) or "", close)
    return f"; did you mean {close!r}?" if close is not None else suggestion(leaf, sorted(known))


def suggest_override(word: str, value: str = "") -> str:
    """Suggests an override in place of a word that is not an override, a command or a flag.

    Args:
        word: the word.
        value: the next word; empty if there is none.

    Returns:
        The end of a sentence, which begins with a semicolon; empty if there is no suggestion.
    """
    config = _defaults()
    bare = word.strip().lstrip("-+").rstrip(":=").replace("/", ".").replace("-", "_").strip()
    bare, _, own_value = bare.partition("=")
    value = own_value or value.strip() or "VALUE"
    group, _, option = bare.partition(".")
    groups = (*GROUPS, *SETTINGS_GROUPS, "experiment")
    if bare in groups:
        return f"; write {bare}={value if value != 'VALUE' else 'NAME'}"
    if option and group in groups and option in options(group):
        return f"; write {_choice(group, option)}"
    if bare in _keys(config):
        return f"; write {bare}={value}"
    return _elsewhere(bare, config, value)


def suggest_key_of(key: str, value: str) -> str:
    """Suggests the full key for a top-level key that does not exist.

    Args:
        key: the key as written.
        value: its value.

    Returns:
        The end of a sentence, which begins with a semicolon; empty if no key or option has that name.
    """
    config = _defaults()
    return "" if key in config or set(key) & set("./@") or options(key) else _elsewhere(key, config, value)


def suggest_name(group: str, name: str, known: set[str]) -> str:
    """Suggests a choice in place of a name that a group does not have, if more is known than the nearest name.

    Args:
        group: the group's name.
        name: the name as written.
        known: the group's names.

    Returns:
        The end of a sentence, which begins with a semicolon; empty if there is no suggestion.
    """
    return next((f"; {each}" for each in _name_suggestions(group, name, known)), "")


def _name_suggestions(group: str, name: str, known: set[str]) -> Iterator[str]:
    """Yields suggestions, the likeliest first: no choice, a file, a call, a module's attribute, another group."""
    if name.lower() in _NONE_WORDS:
        if group in GROUPS and GROUPS[group].several:
            yield f"{group}=[] is none"
        elif "none" in known:
            yield f"write {group}=none"
    if group not in GROUPS or name.lower() in {each.lower() for each in known}:
        return
    meant = meant_reference(name) or ""
    if is_kept(meant.partition(":")[0]):
        yield f"by reference it is {_choice(group, meant)}"
    last = name.rpartition(".")[2]
    if group == "data" and last != name and last.lower() in _FILES:
        yield f"a file is its path, data={_FILES[last.lower()]} data.path={name}"
    called = re.match(r"(\w+)\s*\(", name)
    if called and registry.offers(group, called[1]):
        yield f"with parameters it is written {_choice(group, f'{{name: {called[1]}, KEY: VALUE}}')}"
    if last != name and registry.offers(group, last):
        yield f"write {_choice(group, last)}"
    if meant:
        yield f"by reference it is {_choice(group, meant)}"
    for other in GROUPS.values():
        if other.name != group and registry.offers(other.name, name):
            by = f"in {NO_NODE[other.name]}" if other.name in NO_NODE else f"by {_choice(other.name, name)}"
            yield f"it is {other.one}, chosen {by}"


def _normalized(name: str) -> str:
    """Returns a key in kexp's spelling: lower case, underscores, dots."""
    return name.replace("-", "_").replace("/", ".").lower()


def options(group: str) -> set[str]:
    """Returns the options of a group: those that kexp and packages offer, and YAML files of kexp and of the user."""
    folders = [folder / group for folder in (conf_folder(), user_folder()) if folder is not None]
    return set(offered(group)) | {file.stem for folder in folders for file in folder.glob("*.yaml")}


def _elsewhere(key: str, config: Mapping[str, Any], value: str) -> str:
    """Returns the first of `_key_suggestions` as the end of a sentence; empty if there is none."""
    return next((f"; {each}" for each in _key_suggestions(key, config, value)), "")


def _key_suggestions(key: str, config: Mapping[str, Any], value: str) -> Iterator[str]:
    """Yields suggestions, the likeliest first: an option, a parameter of an option that is not chosen, a key."""
    parent, _, leaf = key.rpartition(".")
    group = parent.partition(".")[0]
    meant = _MEANT.get(_normalized(leaf)) if parent in ("", "data", "trainer") else None
    if keys := [each for each in _keys(config) if each.rpartition(".")[2] == meant]:
        yield f"did you mean {_listed([f'{each}={value}' for each in keys])}?"
    if group in GROUPS and leaf in options(group):
        yield f"{leaf} is chosen by {_choice(group, leaf)}"
    if group in GROUPS and (having := _owners(group, leaf)):
        yield f"it is a parameter of {_listed(having)}, chosen by {_choice(group, having[0])}"
    if keys := [each for each in _keys(config) if each.rpartition(".")[2].lower() == _normalized(leaf) != "name"]:
        yield f"did you mean {_listed([f'{each}={value}' for each in keys])}?"
    if meant and (having := _owners("data", meant)):
        yield f"did you mean {meant!r}, a parameter of data {_listed(having)}?"
    if parent:
        return
    groups = [each for each in (*GROUPS, *SETTINGS_GROUPS, "experiment") if each not in NO_NODE]
    if owners := [each for each in groups if leaf in options(each)]:
        yield f"it is an option: {_listed([_choice(each, leaf) for each in owners])}"
    for each in _WITH_NODE:
        if having := _owners(each, leaf):
            yield f"it is a parameter of {each} {_listed(having)}, chosen by {_choice(each, having[0])}"


@cache
def _defaults() -> dict[str, Any]:
    """Returns the config without any override."""
    return plain(compose())


@cache
def _owners(group: str, parameter: str) -> list[str]:
    """Returns the names of kexp's own components of a group that have a parameter, the shortest first."""
    found = []
    for name, component in registry.components(group):
        try:
            if name == component.name and component.distribution == registry.OURSELVES:
                found += [name] if parameter in component.signature() else []
        except ComponentError:
            continue
    return sorted(found, key=len)


def _choice(group: str, option: str) -> str:
    return f"{group}=[{option}]" if group in GROUPS and GROUPS[group].several else f"{group}={option}"


def _keys(config: Mapping[str, Any]) -> list[str]:
    return [key for key, _ in _leaves(config)]


def _leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every key of a config with dots, including those of mappings, and its value."""
    for key, value in node.items():
        if str(key) == "hydra" and not path:
            continue
        yield f"{path}{key}", value
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")


def _listed(names: list[str]) -> str:
    shown, more = names[:_MOST_SHOWN], len(names) - _MOST_SHOWN
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)

"""What a word that stands in the wrong place may have meant: a key of that last name, an option, its parameter."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from kexp import registry
from kexp.config.compose import compose, plain
from kexp.config.options import NO_NODE
from kexp.config.source import HYDRA_PARTS, OPTIONS, SETTINGS, SETTINGS_GROUPS, user_folder
from kexp.errors import ComponentError, nearest, suggestion
from kexp.folders import conf_folder
from kexp.groups import GROUPS

__all__ = ["hint", "misnamed", "name_meant", "options", "word_meant"]

_MOST = 3  # places that a sentence names
_ALIKE = 0.85
_NOTHING = ("none", "null", "no", "off", "false")
_FILES = {  # the end of a file's name -> what reads it
    **dict.fromkeys(("csv", "tsv", "parquet", "feather", "jsonl"), "csv"),
    "npz": "npz",
    "tfrecord": "tfrecord",
}
# Groups whose chosen members stand in the config, in the order in which a word is looked for.
_WITH_NODE = ("optimizer", "loss", "metrics", "callbacks", "model", "data", "activation", "schedule")


def hint(key: str, config: Mapping[str, Any], known: set[str], value: str = "...", written: str = "") -> str:
    """The end of a sentence about a key that there is not: where what it names is, or the nearest name.

    Args:
        key: the key as it was written, with dots.
        config: the plain config beside it.
        known: what may stand in its place.
        value: what it was set to, if it is short.
        written: the whole key of the override, where `key` is its beginning.
    """
    if (written or key) != key or set(key) & set("-/"):
        whole = difflib.get_close_matches(_folded(written or key), _keys(config), n=1, cutoff=_ALIKE)
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


def word_meant(word: str, value: str = "") -> str:
    """The end of a sentence about a word that is no override, command or flag: the override that it may have meant.

    Args:
        word: the word.
        value: what stands behind it, if anything.

    Returns:
        Empty where it may have meant none.
    """
    config = _defaults()
    bare = word.strip().lstrip("-+").rstrip(":=").replace("/", ".").replace("-", "_").strip()
    bare, _, behind = bare.partition("=")
    value = behind or value.strip() or "VALUE"
    group, _, option = bare.partition(".")
    groups = (*GROUPS, *SETTINGS_GROUPS, "experiment")
    if bare in groups:
        return f"; write {bare}={value if value != 'VALUE' else 'NAME'}"
    if option and group in groups and option in options(group):
        return f"; write {_choice(group, option)}"
    if bare in _keys(config):
        return f"; write {bare}={value}"
    return _elsewhere(bare, config, value)


def misnamed(key: str, value: str) -> str:
    """The end of a sentence about a top-level key that there is not; empty where its name stands nowhere else."""
    config = _defaults()
    return "" if key in config or set(key) & set("./@") or options(key) else _elsewhere(key, config, value)


def name_meant(group: str, name: str, known: set[str]) -> str:
    """The end of a sentence about a name that a group does not have, where more can be said than the nearest name.

    Args:
        group: the group's name.
        name: as it was written.
        known: the names that the group has.
    """
    return next((f"; {each}" for each in _meanings(group, name, known)), "")


def _meanings(group: str, name: str, known: set[str]) -> Iterator[str]:
    """No choice at all, a file, a call, a module's attribute, another group's name; the likeliest first."""
    if name.lower() in _NOTHING:
        if group in GROUPS and GROUPS[group].several:
            yield f"{group}=[] is none"
        elif "none" in known:
            yield f"write {group}=none"
    if group not in GROUPS or name.lower() in {each.lower() for each in known}:
        return
    last = name.rpartition(".")[2]
    if group == "data" and last != name and last.lower() in _FILES:
        yield f"a file is its path, data={_FILES[last.lower()]} data.path={name}"
    called = re.match(r"(\w+)\s*\(", name)
    if called and registry.offers(group, called[1]):
        yield f"with parameters it is written {_choice(group, f'{{name: {called[1]}, KEY: VALUE}}')}"
    if last != name and registry.offers(group, last):
        yield f"write {_choice(group, last)}"
    for other in GROUPS.values():
        if other.name != group and registry.offers(other.name, name):
            by = f"in {NO_NODE[other.name]}" if other.name in NO_NODE else f"by {_choice(other.name, name)}"
            yield f"it is {other.one}, chosen {by}"


def _folded(name: str) -> str:
    """A key as kexp writes keys."""
    return name.replace("-", "_").replace("/", ".").lower()


def options(group: str) -> set[str]:
    """The names that can be chosen of a group: registered ones, kexp's settings, and YAML of kexp's and the user's."""
    names = set(registry.names(group)) if group in GROUPS else set()
    names |= set(registry.part_names(HYDRA_PARTS[group])) if group in HYDRA_PARTS else set()
    names |= {path.partition("/")[2] for path in (*SETTINGS, *OPTIONS) if path.startswith(f"{group}/")}
    folders = [folder / group for folder in (conf_folder(), user_folder()) if folder is not None]
    return names | {file.stem for folder in folders for file in folder.glob("*.yaml")}


def _elsewhere(key: str, config: Mapping[str, Any], value: str) -> str:
    """Where the last name of a key stands; empty where it stands nowhere."""
    return next((f"; {each}" for each in _places(key, config, value)), "")


def _places(key: str, config: Mapping[str, Any], value: str) -> Iterator[str]:
    """An option, a parameter of one that is not chosen, a key; the likeliest first."""
    parent, _, leaf = key.rpartition(".")
    group = parent.partition(".")[0]
    if group in GROUPS and leaf in options(group):
        yield f"{leaf} is chosen by {_choice(group, leaf)}"
    if group in GROUPS and (having := _owners(group, leaf)):
        yield f"it is a parameter of {_listed(having)}, chosen by {_choice(group, having[0])}"
    if keys := [each for each in _keys(config) if each.rpartition(".")[2].lower() == _folded(leaf) != "name"]:
        yield f"did you mean {_listed([f'{each}={value}' for each in keys])}?"
    if parent:
        return
    groups = [each for each in (*GROUPS, *SETTINGS_GROUPS, "experiment") if each not in NO_NODE]
    if where := [each for each in groups if leaf in options(each)]:
        yield f"it is an option: {_listed([_choice(each, leaf) for each in where])}"
    for each in _WITH_NODE:
        if having := _owners(each, leaf):
            yield f"it is a parameter of {each} {_listed(having)}, chosen by {_choice(each, having[0])}"


@cache
def _defaults() -> dict[str, Any]:
    """The config without any override."""
    return plain(compose())


@cache
def _owners(group: str, parameter: str) -> list[str]:
    """The components of the group that have that parameter, by their first names, short ones first."""
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
    """Every key of a config with dots, those with keys of their own among them."""
    for key, value in node.items():
        if str(key) == "hydra" and not path:
            continue
        yield f"{path}{key}", value
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")


def _listed(names: list[str]) -> str:
    shown, more = names[:_MOST], len(names) - _MOST
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)

"""What a word that stands in the wrong place may have meant: a key of that last name, an option, its parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from kexp import registry
from kexp.config.compose import compose, plain
from kexp.config.opened import conf_folder
from kexp.config.options import NO_NODE
from kexp.config.source import HYDRA_PARTS, OPTIONS, SETTINGS, SETTINGS_GROUPS, user_folder
from kexp.errors import ComponentError, nearest, suggestion
from kexp.groups import GROUPS

__all__ = ["hint", "options", "word_meant"]

_MOST = 3  # places that a sentence names
# Groups whose chosen members stand in the config, in the order in which a word is looked for.
_WITH_NODE = ("optimizer", "loss", "metrics", "callbacks", "model", "data", "activation", "schedule")


def hint(key: str, config: Mapping[str, Any], known: set[str], value: str = "...") -> str:
    """The end of a sentence about a key that there is not: where what it names is, or the nearest name.

    Args:
        key: the key as it was written, with dots.
        config: the plain config beside it.
        known: what may stand in its place.
        value: what it was set to, if it is short.
    """
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
    if keys := [each for each in _keys(config) if each.rpartition(".")[2].lower() == leaf.lower() != "name"]:
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

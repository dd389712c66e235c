"""Values of a group: a name, a mapping with a name, or a list of them for groups of which several can be chosen.

Hydra's groups take names only, so a component with parameters is encoded as a name. The override
`optimizer={name: sgd, momentum: 0.9}` reaches Hydra as the option `{"name": "sgd", "momentum": 0.9}` of `optimizer`, in
a run, in a sweep and in YAML. The config source decodes it to the component's defaults with these values. In a group of
which several can be chosen, the option has the key too: `{"auc_1": {"name": "auc", "curve": "PR"}}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Quote, QuotedString, Sweep
from hydra.errors import HydraException

from kexp.errors import ConfigError
from kexp.registry.groups import GROUPS, key_of

__all__ = [
    "NO_NODE",
    "as_choice",
    "as_option",
    "as_overrides",
    "as_typed",
    "is_option",
    "node_of",
    "option_names",
]

# Groups without a node of their own -> the keys under which their components are chosen.
NO_NODE = {
    "layer": "model.layers, with model=sequential",
    "initializer": "model.kernel_initializer",
    "regularizer": "model.kernel_regularizer",
    "constraint": "model.kernel_constraint",
    "format": "save.formats",
}
_PLAIN = re.compile(r"(?!(?:true|false|null|inf|nan)$)[a-z_][\w:.]*", re.IGNORECASE)


def as_overrides(override: str, settings: Collection[str] = ()) -> list[str]:
    """Splits `optimizer={momentum: 0.5}`, which names no component, into an override for each key; else as `as_choice`.

    A value then has one form, whether a choice of the same group stands beside it or not.

    Args:
        override: as on the command line.
        settings: further groups, whose options are settings and not components.

    Raises:
        ConfigError: the value cannot be a choice of that group.
    """
    marked, _, value = override.partition("=")
    key = key_of(override)
    one_component = key in GROUPS and not GROUPS[key].several
    if not value.lstrip().startswith("{") or marked.startswith("~") or not (one_component or key in settings):
        return [as_choice(override)]
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return [override]  # composing raises the error
    element = parsed._value  # the property would remove quotes
    if not isinstance(element, Mapping) or (one_component and "name" in set(map(str, element))):
        return [as_choice(override)]
    mark = "++" if marked.startswith("+") else ""
    package = (GROUPS[key].package if one_component else "") or key
    return [f"{mark}{package}.{name}={parsed._get_value_element_as_str(each)}" for name, each in element.items()]


def as_choice(override: str) -> str:
    """Encodes the value of a group's override as options; returns other overrides unchanged.

    Args:
        override: as on the command line.

    Raises:
        ConfigError: the value cannot be a choice of that group.
    """
    marked, given, value = override.partition("=")
    key = key_of(override)
    group = key.partition("@")[0]
    if not given or marked.startswith("~") or group not in GROUPS or _PLAIN.fullmatch(value):
        return override
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return override  # composing raises the error, which `explain` turns into a sentence
    written = _as_options(group, parsed, key)
    return override if written is None else f"{marked}={written}"


def _as_options(group: str, parsed: Override, key: str) -> str | None:
    """Returns an override's value with each node as an option; None if Hydra accepts the value unchanged."""
    value = parsed.value()
    if isinstance(value, Glob) or (isinstance(value, Mapping) and not GROUPS[group].several and "name" not in value):
        return None  # a mapping without a name sets parameters of the chosen component
    if isinstance(value, Sweep) and not isinstance(value, ChoiceSweep):
        raise ConfigError(f"{key}: must be names of {group}, got {parsed.get_value_string()}")
    elements = value.list if isinstance(value, ChoiceSweep) else [value]
    choices = [option_names(group, Override._convert_value(each), key) for each in elements]
    if not any(map(_has_node, choices)):
        return None
    written = ",".join(map(_quoted, choices))
    if isinstance(value, ChoiceSweep) and not value.simple_form:
        return f"shuffle(choice({written}))" if value.shuffle else f"choice({written})"
    return written


def option_names(group: str, value: Any, key: str) -> str | list[str]:
    """Converts a group's value to the names of its options.

    Args:
        group: the group's name.
        value: a name, a mapping, or a list of them.
        key: the config key, for messages.

    Returns:
        One name, or a list of names for a group of which several can be chosen.

    Raises:
        ConfigError: the value is none of these, or a list for a group of which one is chosen.
    """
    value = _as_node(value)
    if isinstance(value, str):
        return _name_of(group, value, key)
    if GROUPS[group].several:
        return _several_names(group, value, key)
    if isinstance(value, (list, tuple)):
        raise ConfigError(
            f"{key}: must be one {GROUPS[group].noun}; several are a sweep, -m {key}=A,B, got {_shown(value)}"
        )
    _name_of(group, value, key)
    return as_option(value)


def as_option(node: Mapping[str, Any]) -> str:
    """Encodes a node as the name of an option; slashes and dollar signs are escaped from Hydra."""
    return json.dumps(node, ensure_ascii=False).replace("/", "\\u002f").replace("$", "\\u0024")


def as_typed(override: str) -> str:
    """Decodes an override to what the user typed: `optimizer={name: sgd}`, `loss=own:squared`."""
    if "{" not in override and "'" not in override and '"' not in override:
        return override.replace("\\:", ":")  # Hydra escapes the colon of a reference
    if "{" not in override or key_of(override).partition("@")[0] not in GROUPS:
        return override
    try:
        value = OverridesParser.create().parse_override(override).value()
    except HydraException:
        return override
    whole = [_as_node(each) for each in value] if isinstance(value, list) else _as_node(value)
    return override if isinstance(whole, Sweep) else f"{override.partition('=')[0]}={_shown(whole)}"


def is_option(name: str) -> bool:
    """Returns whether the name of an option is an encoded node."""
    return name.startswith("{")


def node_of(option: str) -> dict[str, Any]:
    """Decodes a node that `as_option` encoded.

    Raises:
        ConfigError: the text is not a mapping in JSON.
    """
    try:
        node = json.loads(option)
        return {str(key): value for key, value in node.items()}
    except (ValueError, AttributeError):
        raise ConfigError(f"{option}: must be a mapping, without quotes around it") from None


def _as_node(value: Any) -> Any:
    """Decodes a value that is an encoded node; returns other values unchanged."""
    return node_of(value) if isinstance(value, str) and is_option(value) else value


def _several_names(group: str, value: Any, key: str) -> list[str]:
    """Returns the options of a group of which several can be chosen: names, and nodes under their keys."""
    if isinstance(value, Mapping):
        value = [value] if isinstance(value.get("name"), str) else [{own: node} for own, node in value.items()]
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key}: must be names of {group}, got {_shown(value)}{_none_hint(group)}")
    made: dict[str, str] = {}
    for place, each in enumerate(map(_as_node, value)):
        own, node = None, each
        if isinstance(each, Mapping) and "name" not in each and len(each) == 1:
            ((own, node),) = each.items()
            node = _node_under(str(own), node, f"{key}.{own}")
        name = node if isinstance(node, str) else _name_of(group, node, f"{key}[{place}]")
        plain = GROUPS[group].node(name).partition(".")[2]
        free = _unique_key(str(own or plain), made)
        is_name = isinstance(node, str) and free == plain
        made[free] = name if is_name else as_option({free: {"name": name, **({} if node == name else node)}})
    return list(made.values())


def _node_under(own: str, node: Any, key: str) -> Mapping[str, Any]:
    """Returns the node under a key of the user's; the key is also the name unless the node has one."""
    if isinstance(node, str):
        return {"name": node}
    if node is not None and not isinstance(node, Mapping):
        raise ConfigError(f"{key}: must be a name, or a mapping with a name and parameters, got {_shown(node)}")
    return {"name": own, **(node or {})}


def _unique_key(name: str, taken: Mapping[str, Any]) -> str:
    """Returns the name, with a number behind it if it is taken, as Keras numbers metrics of equal names."""
    number, free = 0, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _name_of(group: str, value: Any, key: str) -> str:
    """Returns the name of a value that is a name or a node."""
    name = value.get("name") if isinstance(value, Mapping) else value
    if isinstance(name, str) and name.strip():
        return name
    at = f"{key}.name" if isinstance(value, Mapping) else key
    got = "nothing" if name == "" else _shown(value if isinstance(value, Mapping) and name is None else name)
    raise ConfigError(f"{at}: must be the name of {GROUPS[group].one}, got {got}{_none_hint(group)}")


def _none_hint(group: str) -> str:
    if GROUPS[group].several:
        return f"; {group}=[] is none"
    return "; schedule=none is none" if group == "schedule" else ""


def _shown(value: Any) -> str:
    """Formats a value for a message, as the user would type it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(each)}" for key, each in value.items()) + "}"
    return str(Override._get_value_element_as_str(value))


def _has_node(names: str | Sequence[str]) -> bool:
    return any(is_option(each) for each in ([names] if isinstance(names, str) else names))


def _quoted(value: str | Sequence[str]) -> str:
    """Formats names of options in Hydra's grammar."""
    if not isinstance(value, str):
        return f"[{','.join(map(_quoted, value))}]"
    return QuotedString(value, Quote.single).with_quotes() if is_option(value) else _shown(value)

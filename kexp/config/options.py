"""What may stand in a group's place: a name, a mapping with a name, a list of them where several can be chosen.

Hydra's groups take names alone. So a component with its parameters is written as one: the override
`optimizer={name: sgd, momentum: 0.9}` reaches Hydra as the option `{"name": "sgd", "momentum": 0.9}` of `optimizer`, in
a run, as one value of a sweep and in YAML alike, and the config source reads it as that component's own defaults with
these values. Where several can be chosen the option says the key too: `{"auc_1": {"name": "auc", "curve": "PR"}}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Quote, QuotedString, Sweep
from hydra.errors import HydraException

from kexp.errors import ConfigError
from kexp.groups import GROUPS

__all__ = ["NO_NODE", "as_choice", "as_option", "as_typed", "chosen", "is_option", "key_of", "node_of"]

# What has no place of its own in the config, and where such a component stands.
NO_NODE = {
    "layer": "model.layers, with model=sequential",
    "initializer": "model.kernel_initializer",
    "regularizer": "model.kernel_regularizer",
    "constraint": "model.kernel_constraint",
    "format": "save.formats",
}
_PLAIN = re.compile(r"(?!(?:true|false|null|inf|nan)$)[a-z_][\w:.]*", re.IGNORECASE)


def key_of(override: str) -> str:
    """The key that an override is about, without Hydra's marks for adding and removing."""
    return override.partition("=")[0].lstrip("+~")


def as_choice(override: str) -> str:
    """The override as Hydra's groups take it; as it is where it is about no group, or Hydra takes it anyway.

    Raises:
        ConfigError: its value can be no choice of that group.
    """
    marked, given, value = override.partition("=")
    key = key_of(override)
    group = key.partition("@")[0]
    if not given or marked.startswith("~") or group not in GROUPS or _PLAIN.fullmatch(value):
        return override
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return override  # Hydra's own complaint is explained where it is composed
    package, element = GROUPS[group].package, parsed.value()
    if package and isinstance(element, Mapping) and "name" not in element:
        return f"{marked.replace(group, package)}={value}"
    written = _written(group, parsed, key)
    return override if written is None else f"{marked}={written}"


def _written(group: str, parsed: Override, key: str) -> str | None:
    """An override's value with each node as an option; None where Hydra takes it as it stands."""
    value = parsed.value()
    if isinstance(value, Glob) or (isinstance(value, Mapping) and not GROUPS[group].several and "name" not in value):
        return None  # a mapping without a name sets parameters of what is chosen
    if isinstance(value, Sweep) and not isinstance(value, ChoiceSweep):
        raise ConfigError(f"{key}: must be names of {group}, got {parsed.get_value_string()}")
    elements = value.list if isinstance(value, ChoiceSweep) else [value]
    choices = [chosen(group, Override._convert_value(each), key) for each in elements]
    if not any(map(_has_node, choices)):
        return None
    written = ",".join(map(_text, choices))
    if isinstance(value, ChoiceSweep) and not value.simple_form:
        return f"shuffle(choice({written}))" if value.shuffle else f"choice({written})"
    return written


def chosen(group: str, value: Any, key: str) -> str | list[str]:
    """A group's value as the names of its options.

    Args:
        group: the group's name.
        value: a name, a mapping, or a list of them.
        key: the config key, for messages.

    Raises:
        ConfigError: it is none of these; a list where one is chosen.
    """
    value = _read(value)
    if isinstance(value, str):
        return _named(group, value, key)
    if GROUPS[group].several:
        return _several(group, value, key)
    if isinstance(value, (list, tuple)):
        raise ConfigError(
            f"{key}: must be one {GROUPS[group].noun}; several are a sweep, -m {key}=A,B, got {_shown(value)}"
        )
    _named(group, value, key)
    return as_option(value)


def as_option(node: Mapping[str, Any]) -> str:
    """A node as the name of an option, without what Hydra reads in names: paths and interpolations."""
    return json.dumps(node, ensure_ascii=False).replace("/", "\\u002f").replace("$", "\\u0024")


def as_typed(override: str) -> str:
    """An override as people write it: options as nodes again, `optimizer={name: sgd}`, and `loss=own:squared`."""
    if "{" not in override and "'" not in override and '"' not in override:
        return override.replace("\\:", ":")  # Hydra escapes what a name of a module has
    if "{" not in override or key_of(override).partition("@")[0] not in GROUPS:
        return override
    try:
        value = OverridesParser.create().parse_override(override).value()
    except HydraException:
        return override
    whole = [_read(each) for each in value] if isinstance(value, list) else _read(value)
    return override if isinstance(whole, Sweep) else f"{override.partition('=')[0]}={_shown(whole)}"


def is_option(name: str) -> bool:
    """Whether the name of an option is a node."""
    return name.startswith("{")


def node_of(option: str) -> dict[str, Any]:
    """The node that `as_option` wrote.

    Raises:
        ConfigError: the text is none.
    """
    try:
        node = json.loads(option)
        return {str(key): value for key, value in node.items()}
    except (ValueError, AttributeError):
        raise ConfigError(f"{option}: must be a mapping, without quotes around it") from None


def _read(value: Any) -> Any:
    """A node that is written as an option already, as a node."""
    return node_of(value) if isinstance(value, str) and is_option(value) else value


def _several(group: str, value: Any, key: str) -> list[str]:
    """The options of several: names, and nodes under the keys that they go by."""
    if isinstance(value, Mapping):
        value = [value] if isinstance(value.get("name"), str) else [{own: node} for own, node in value.items()]
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key}: must be names of {group}, got {_shown(value)}{_none(group)}")
    made: dict[str, str] = {}
    for place, each in enumerate(map(_read, value)):
        own, node = None, each
        if isinstance(each, Mapping) and "name" not in each and len(each) == 1:
            ((own, node),) = each.items()
            node = _under(str(own), node, f"{key}.{own}")
        name = node if isinstance(node, str) else _named(group, node, f"{key}[{place}]")
        plain = GROUPS[group].node(name).partition(".")[2]
        free = _free(str(own or plain), made)
        is_name = isinstance(node, str) and free == plain
        made[free] = name if is_name else as_option({free: {"name": name, **({} if node == name else node)}})
    return list(made.values())


def _under(own: str, node: Any, key: str) -> Mapping[str, Any]:
    """A node under a key of the user's, which is its name as well where it says no other."""
    if isinstance(node, str):
        return {"name": node}
    if node is not None and not isinstance(node, Mapping):
        raise ConfigError(f"{key}: must be a name, or a mapping with a name and parameters, got {_shown(node)}")
    return {"name": own, **(node or {})}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """The name, numbered as Keras numbers a second metric of that name."""
    number, free = 0, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _named(group: str, value: Any, key: str) -> str:
    """The name that a name or a node has."""
    name = value.get("name") if isinstance(value, Mapping) else value
    if isinstance(name, str) and name.strip():
        return name
    at = f"{key}.name" if isinstance(value, Mapping) else key
    got = "nothing" if name == "" else _shown(value if isinstance(value, Mapping) and name is None else name)
    raise ConfigError(f"{at}: must be the name of {GROUPS[group].one}, got {got}{_none(group)}")


def _none(group: str) -> str:
    if GROUPS[group].several:
        return f"; {group}=[] is none"
    return "; schedule=none is none" if group == "schedule" else ""


def _shown(value: Any) -> str:
    """A value in a sentence, as it is typed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(each)}" for key, each in value.items()) + "}"
    return str(Override._get_value_element_as_str(value))


def _has_node(names: str | Sequence[str]) -> bool:
    return any(is_option(each) for each in ([names] if isinstance(names, str) else names))


def _text(value: str | Sequence[str]) -> str:
    """Names of options in Hydra's grammar."""
    if not isinstance(value, str):
        return f"[{','.join(map(_text, value))}]"
    return QuotedString(value, Quote.single).with_quotes() if is_option(value) else _shown(value)

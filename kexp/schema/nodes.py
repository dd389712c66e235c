"""The components that a config chooses, with checked and complete parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any

from kexp import registry
from kexp.errors import ConfigError
from kexp.registry import OURSELVES, Component
from kexp.registry.groups import GROUPS, group_of_parameter
from kexp.rules import check_parameter, check_value
from kexp.schema.layer_lists import refuse_unlistable
from kexp.schema.mappings import as_mapping, plain, refuse_unknown
from kexp.schema.remembered import remembered
from kexp.schema.settings import AUTO
from kexp.signatures import REQUIRED, UNREADABLE, Signature
from kexp.system.nested import texts

__all__ = [
    "DEFAULT_OPTIMIZER",
    "Node",
    "component_node",
    "defaults_of",
    "is_left_open",
    "optimizer_node",
    "several_nodes",
]

_REFERENCE = re.compile(r"(?<!\S)([A-Za-z_][\w.]*):[A-Za-z_][\w.]*")
DEFAULT_OPTIMIZER = "adam"  # unless the config or the model's own code names one


@dataclass(frozen=True)
class Node:
    """A component chosen in a config, with its parameters.

    Attributes:
        component: the component of the name.
        parameters: the values of its own parameters, complete.
        common: the values of the parameters of its group (`data.feed`, `optimizer.schedule`).
        path: the config key of the node.
    """

    component: Component
    parameters: dict[str, Any]
    common: dict[str, Any]
    path: str

    @property
    def name(self) -> str:
        return self.component.name

    @cached_property
    def modules(self) -> frozenset[str]:
        """The modules of the references (`module:name`) in its name and its parameters, installed or not."""
        written = (text for _, text in texts(self.as_dict()) if ":" in text)
        return frozenset(found.group(1) for text in written for found in _REFERENCE.finditer(text))

    def as_dict(self) -> dict[str, Any]:
        """Returns the node as config, with the component's main name."""
        common = {key: value.as_dict() if isinstance(value, Node) else value for key, value in self.common.items()}
        return {"name": self.name, **self.parameters, **common}


def component_node(group: str, value: Any, path: str) -> Node:
    """Returns the node of a component, with checked parameters and the defaults of the others.

    Args:
        group: the component's group.
        value: a name, or a mapping with `name` and parameters.
        path: the config key, for messages.

    Raises:
        ConfigError: a name or parameter is unknown, a value breaks its rule, or a required parameter is missing.
    """
    given = dict(as_mapping(path, value))
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(
            f"{path}.name: must be the name of {GROUPS[group].one}, one of those that `kexp components {group}` lists"
        )
    component = registry.find(group, name, path)
    if component.distribution != OURSELVES:
        return _checked_node(component, given, path)
    # What the user's code has may be another by the next time.
    make = partial(_checked_node, component, given, path)
    node = remembered((component, path), given, make, keeps=lambda made: not made.modules)
    return replace(node, parameters={**node.parameters}, common={**node.common})


def _checked_node(component: Component, given: dict[str, Any], path: str) -> Node:
    signature, name = component.signature(), component.name
    owner = GROUPS[component.group]
    common = {p.name: given.pop(p.name, p.default) for p in component.common if p.name not in signature}
    for parameter in component.common:
        if parameter.name in common:
            check_parameter(f"{path}.{parameter.name}", common[parameter.name], parameter)
    for taken in signature.taken:
        if taken in given and not signature.open:
            raise ConfigError(
                f"{path}.{taken}: {name} is read as {owner.one} itself, which Keras calls with "
                f"{' and '.join(signature.taken)}; if it makes one, give its parameters defaults"
            )
    known = {p.name for p in signature.parameters} | set(owner.passes)
    if not signature.open or component.exported:
        refuse_unknown(path, given, known | set(common))
    return Node(component, _parameters(component, path, given, signature), common, path)


def defaults_of(component: Component) -> dict[str, Any]:
    """Returns a component's config node with its name and all defaults. A required parameter is Hydra's `???`."""
    node: dict[str, Any] = {"name": component.name}
    signature = component.signature()
    for parameter in signature.parameters:
        if parameter.default is not UNREADABLE:
            node[parameter.name] = "???" if parameter.default is REQUIRED else plain(parameter.default)
    for parameter in component.common:
        node.setdefault(parameter.name, parameter.default)
    return node


def _parameters(owner: Component, path: str, given: dict[str, Any], signature: Signature) -> dict[str, Any]:
    complete: dict[str, Any] = {}
    for parameter in signature.parameters:
        key = f"{path}.{parameter.name}"
        if parameter.name in given:
            value = given.pop(parameter.name)
            if value == "???":  # Hydra's mark for a missing value
                raise ConfigError(f"{key}: must be given")
        elif parameter.default is REQUIRED:
            raise ConfigError(f"{key}: must be given")
        elif parameter.default is UNREADABLE:
            continue
        else:
            value = plain(parameter.default)
        group = None if signature.is_plain(parameter.name) else group_of_parameter(parameter.name)
        if parameter.name == "layers" and isinstance(value, (str, Mapping)):
            value = [value]
        if group == "layer" and _are_layers(owner, value):
            value = _layers(owner, key, value)
        elif group is not None and isinstance(value, Mapping):
            value = component_node(group, value, key).as_dict()
        elif group is not None and isinstance(value, str) and group != "layer":
            value = registry.find(group, value, key).name
        elif value is not None or parameter.default is not None:
            check_parameter(key, value, parameter, owner.named_as_keras)
            if isinstance(parameter.default, float) and type(value) is int:
                value = float(value)  # so that 1 and 1.0 have one fingerprint and one compiled program
        complete[parameter.name] = value
    return complete | given


def _are_layers(owner: Component, value: Any) -> bool:
    """Returns whether a value is layers: `layers` of a user's component may be numbers."""
    if isinstance(value, (list, tuple)):
        return owner.distribution == registry.OURSELVES or any(isinstance(each, (str, Mapping)) for each in value)
    return isinstance(value, str) and owner.group == "layer"


def _layers(owner: Component, key: str, value: Any) -> Any:
    """Returns the node of a layer, or the nodes of a list of layers."""
    if isinstance(value, str):
        return component_node("layer", value, key).as_dict()
    nodes = [component_node("layer", each, f"{key}[{place}]") for place, each in enumerate(value)]
    if key.endswith(".layers"):
        refuse_unlistable({node.path: node.name for node in nodes if node.component.distribution == registry.OURSELVES})
    return [node.as_dict() for node in nodes]


def is_left_open(value: Any) -> bool:
    """Returns whether the config leaves the optimizer open: `auto`, without any setting."""
    given = as_mapping("optimizer", value)
    return given.get("name") == AUTO and {**_left_open(), **given} == _left_open()


@lru_cache
def _left_open() -> dict[str, Any]:
    return {**defaults_of(registry.find("optimizer", DEFAULT_OPTIMIZER)), "name": AUTO}


def optimizer_node(value: Any) -> Node:
    """Returns the optimizer's node, with `lr` as `learning_rate` and the schedule as a node."""
    if as_mapping("optimizer", value).get("name") == AUTO:
        value = {**as_mapping("optimizer", value), "name": DEFAULT_OPTIMIZER}
    node = component_node("optimizer", value, "optimizer")
    rate = node.common.pop("lr", None)
    if rate is not None:
        check_value("optimizer.lr", rate, float)
        if rate <= 0:
            raise ConfigError.at("optimizer.lr", "must be greater than 0", rate)
        node.parameters["learning_rate"] = rate
    schedule = node.common.get("schedule")
    if schedule is not None:
        if node.common.get("decay"):
            raise ConfigError("optimizer.decay: must be 0 with a schedule, which sets the rate by itself")
        node.common["schedule"] = component_node("schedule", schedule, "optimizer.schedule")
    return node


def several_nodes(group: str, value: Any) -> dict[str, Node]:
    """Return key -> node of a group of which several can be chosen; `auto` and keys set to null are left out.

    Raises:
        ConfigError: as `component_node`.
    """
    chosen = as_mapping(group, value)
    return {
        key: component_node(group, {"name": key, **each} if isinstance(each, Mapping) else each, f"{group}.{key}")
        for key, each in chosen.items()
        if each is not None and key != AUTO
    }

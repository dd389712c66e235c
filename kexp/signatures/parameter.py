"""A parameter, a signature, and what a docstring says of its arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal, get_origin

__all__ = [
    "REQUIRED",
    "UNREADABLE",
    "Parameter",
    "Signature",
    "argument_helps",
    "to_snake_case",
    "written_members",
]


class _Marker:
    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return self.word


REQUIRED = _Marker("REQUIRED")  # no default: must be given

UNREADABLE = _Marker("UNREADABLE")  # has a default that is no plain value: left to the component unless given


@dataclass(frozen=True)
class Parameter:
    """One config key of a component.

    Attributes:
        name: the key.
        default: a plain value, `REQUIRED` or `UNREADABLE`.
        annotation: the rule; None if any value is accepted.
        help: its line in the documentation.
        keyword_only: whether the component takes it by name alone.
        positional_only: whether by position alone.
        members: the enum of which the config has the value or the name of a member.
    """

    name: str
    default: Any = REQUIRED
    annotation: Any = None
    help: str = ""
    keyword_only: bool = False
    positional_only: bool = False
    members: type[Enum] | None = None


@dataclass(frozen=True)
class Signature:
    """The parameters of a component and its documentation."""

    parameters: tuple[Parameter, ...]
    help: str = ""
    open: bool = False  # takes **kwargs: what else it takes is its own affair
    any_positional: bool = False  # takes *args
    taken: tuple[str, ...] = ()  # parameters that are no config: Keras fills them in

    def __contains__(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)

    def with_members(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the config, with those of enums as their members."""
        kinds = {p.name: p.members for p in self.parameters if p.members is not None}
        found = {key: member_of(kinds[key], value) for key, value in values.items() if key in kinds}
        return {**values, **found}

    def is_plain(self, name: str) -> bool:
        """Whether a parameter is annotated as one of some values: these are no names of components then."""
        return any(p.name == name and get_origin(p.annotation) is Literal for p in self.parameters)

    @property
    def summary(self) -> str:
        """The documentation's first sentence."""
        return self.help.strip().split("\n\n")[0].replace("\n", " ").strip()

    def without(self, *names: str) -> Signature:
        return replace(self, parameters=tuple(p for p in self.parameters if p.name not in names))


def written_members(kind: type[Enum]) -> dict[Any, Enum]:
    """An enum's members as a config has them: by their values if all are text, otherwise by their names."""
    by_value = all(isinstance(each.value, str) for each in kind)
    return {each.value if by_value else each.name: each for each in kind}


def member_of(kind: type[Enum], value: Any) -> Any:
    """The member that a config has the text of; another value as it is."""
    return written_members(kind).get(value, value) if isinstance(value, str) else value


def to_snake_case(name: str) -> str:
    """`HeNormal` -> `he_normal`, as Keras names things."""
    name = name.replace("NaN", "Nan").replace("TensorBoard", "Tensorboard")  # one word each, as in Keras' file names
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def argument_helps(documentation: str) -> dict[str, str]:
    """The `Args:` or `Attributes:` section of a Google docstring, as one line each."""
    section = re.search(
        r"^(?:Args|Attributes):\n(.*?)(?=^\S|\Z)", inspect.cleandoc(documentation), re.DOTALL | re.MULTILINE
    )
    if section is None:
        return {}
    body = inspect.cleandoc(section[1])
    found = re.findall(r"^(\w+)(?: \([^)]*\))?:[ \n](.*?)(?=^\w+(?: \([^)]*\))?:|\Z)", body, re.DOTALL | re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}

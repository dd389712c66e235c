"""Parameters, signatures, and the descriptions of arguments in docstrings."""

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

UNREADABLE = _Marker("UNREADABLE")  # the default is not a plain value: the component uses it unless the config sets one


@dataclass(frozen=True)
class Parameter:
    """One config key of a component.

    Attributes:
        name: the key.
        default: a plain value, `REQUIRED` or `UNREADABLE`.
        annotation: the rule; None if any value is accepted.
        help: its line in the documentation.
        keyword_only: whether it can be passed by name only.
        positional_only: whether it can be passed by position only.
        members: the enum, if the config has the value or the name of one of its members.
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
    open: bool = False  # takes **kwargs, so that any other name may be valid
    any_positional: bool = False  # takes *args
    taken: tuple[str, ...] = ()  # arguments that Keras passes, which the config cannot set

    def __contains__(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)

    def with_members(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns values of the config, with members of enums instead of their texts."""
        kinds = {p.name: p.members for p in self.parameters if p.members is not None}
        found = {key: member_of(kinds[key], value) for key, value in values.items() if key in kinds}
        return {**values, **found}

    def is_plain(self, name: str) -> bool:
        """Returns whether a parameter is annotated as a Literal, whose texts are not names of components."""
        return any(p.name == name and get_origin(p.annotation) is Literal for p in self.parameters)

    @property
    def summary(self) -> str:
        """The documentation's first sentence."""
        return self.help.strip().split("\n\n")[0].replace("\n", " ").strip()

    def without(self, *names: str) -> Signature:
        return replace(self, parameters=tuple(p for p in self.parameters if p.name not in names))


def written_members(kind: type[Enum]) -> dict[Any, Enum]:
    """Returns an enum's members by their texts in a config: the values if all are texts, otherwise the names."""
    by_value = all(isinstance(each.value, str) for each in kind)
    return {each.value if by_value else each.name: each for each in kind}


def member_of(kind: type[Enum], value: Any) -> Any:
    """Returns the member for a text of the config; other values are unchanged."""
    return written_members(kind).get(value, value) if isinstance(value, str) else value


def to_snake_case(name: str) -> str:
    """Converts a class name to snake case as Keras does: `HeNormal` -> `he_normal`."""
    name = name.replace("NaN", "Nan").replace("TensorBoard", "Tensorboard")  # one word each, as in Keras' file names
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def argument_helps(documentation: str) -> dict[str, str]:
    """Returns name -> description in one line, from the `Args:` or `Attributes:` section of a Google docstring."""
    section = re.search(
        r"^(?:Args|Attributes):\n(.*?)(?=^\S|\Z)", inspect.cleandoc(documentation), re.DOTALL | re.MULTILINE
    )
    if section is None:
        return {}
    body = inspect.cleandoc(section[1])
    found = re.findall(r"^(\w+)(?: \([^)]*\))?:[ \n](.*?)(?=^\w+(?: \([^)]*\))?:|\Z)", body, re.DOTALL | re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}

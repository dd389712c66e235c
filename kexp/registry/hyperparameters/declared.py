"""A hyperparameter that a model's code declares, and the values that a search may choose."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from kexp.rules import Range
from kexp.signatures import Parameter

__all__ = [
    "Condition",
    "Declared",
    "axes_of",
]

Condition = tuple[tuple[str, tuple[Any, ...]], ...]


@dataclass(frozen=True)
class Declared:
    """One hyperparameter.

    Attributes:
        name: its parameter in the config: its name in the code, with `_` for characters that a key cannot have.
        default: its value unless the config sets it.
        values: its possible values, if they are listed.
        low: its least value otherwise.
        high: its greatest value.
        whole: whether it is a whole number.
        log: whether a search samples its logarithm.
        when: (parameter, values): it exists only if each of these parameters has one of these values.
    """

    name: str
    default: Any
    values: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    whole: bool = False
    log: bool = False
    when: Condition = ()

    @property
    def parameter(self) -> Parameter:
        """The hyperparameter as a parameter of the config."""
        if self.values:
            kind: Any = bool if set(self.values) == {True, False} else Literal[tuple(self.values)]
        else:
            kind = Annotated[int if self.whole else float, Range(ge=self.low, le=self.high)]
        return Parameter(self.name, self.default, kind, "a hyperparameter that the model's code declares")


def axes_of(space: Mapping[str, Declared]) -> dict[str, tuple[str | list[Any], Condition]]:
    """Returns parameter -> what a search chooses from, in Hydra's grammar, and the condition under which it exists."""
    parents = set(itertools.chain.from_iterable((name for name, _ in each.when) for each in space.values()))
    axes: dict[str, tuple[str | list[Any], Condition]] = {}
    for name, each in space.items():
        if len(each.values) == 1:
            continue  # no choice
        what: str | list[Any] = list(each.values)
        if not each.values and each.whole and name in parents:
            what = list(range(int(each.low), int(each.high) + 1))
        elif not each.values:
            low, high = (int(each.low), int(each.high)) if each.whole else (each.low, each.high)
            what = f"interval({low!r},{high!r})"
            what = f"tag(log,{what})" if each.log else what
        axes[name] = what, each.when
    return axes

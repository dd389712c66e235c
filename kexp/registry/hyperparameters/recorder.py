"""The recorder that stands for KerasTuner's `hp`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from kexp.registry.hyperparameters.declared import Declared

__all__ = [
    "HyperParameters",
    "key_of",
]

_MOST_STEPS = 200


class HyperParameters:
    """Replaces KerasTuner's `hp`: its methods record a hyperparameter and return its value.

    Args:
        given: values by the config's names.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._scopes: list[tuple[str, tuple[Any, ...]]] = []
        self.declared: dict[str, Declared] = {}
        self.values: dict[str, Any] = {}

    def Int(  # noqa: N802 - KerasTuner's name
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        **parent: Any,
    ) -> Any:
        """Declares a whole number of a range, which includes both ends."""
        return self._ranged(name, (min_value, max_value, step), sampling, default, parent, whole=True)

    def Float(  # noqa: N802
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        **parent: Any,
    ) -> Any:
        """Declares a number of a range, which includes both ends."""
        return self._ranged(name, (float(min_value), float(max_value), step), sampling, default, parent)

    def Choice(  # noqa: N802
        self, name: str, values: Sequence[Any], ordered: bool | None = None, default: Any = None, **parent: Any
    ) -> Any:
        """Declares one of several values."""
        first = values[0] if default is None else default
        return self._note(name, Declared(key_of(name), first, tuple(values)), parent)

    def Boolean(self, name: str, default: bool = False, **parent: Any) -> Any:  # noqa: N802
        """Declares true or false."""
        return self._note(name, Declared(key_of(name), default, (False, True)), parent)

    def Fixed(self, name: str, value: Any, **parent: Any) -> Any:  # noqa: N802
        """Declares a single value."""
        return self._note(name, Declared(key_of(name), value, (value,)), parent)

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """Hyperparameters that are declared in the block exist only if the parent has one of the values."""
        self._scopes.append((key_of(parent_name), _listed(parent_values)))
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Has no effect: names are complete already."""
        yield

    def get(self, name: str) -> Any:
        """Returns the value of a hyperparameter."""
        return self.values[name]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def is_active(self, name: str) -> bool:
        """Returns whether a hyperparameter was declared."""
        return name in self.values

    def _ranged(
        self,
        name: str,
        bounds: tuple[Any, Any, Any],
        sampling: str | None,
        default: Any,
        parent: Mapping[str, Any],
        *,
        whole: bool = False,
    ) -> Any:
        low, high, step = bounds
        first = low if default is None else default
        log = sampling in ("log", "reverse_log")
        values = _steps(low, high, step, log)
        kind = (
            Declared(key_of(name), first, values)
            if values
            else Declared(key_of(name), first, (), low, high, whole, log)
        )
        return self._note(name, kind, parent)

    def _note(self, name: str, kind: Declared, parent: Mapping[str, Any]) -> Any:
        scopes = list(self._scopes)
        if parent.get("parent_name") is not None:
            scopes.append((key_of(parent["parent_name"]), _listed(parent.get("parent_values"))))
        if kind.name not in self.declared:
            self.declared[kind.name] = replace(kind, when=tuple(scopes))
        self.values[name] = self._given.get(kind.name, kind.default)
        return self.values[name]


def key_of(name: str) -> str:
    """Returns a hyperparameter's name as a key of the config."""
    key = re.sub(r"\W", "_", str(name))
    return key if key.isidentifier() else f"_{key}"


def _listed(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (list, tuple)) else (values,)


def _steps(low: Any, high: Any, step: Any, log: bool) -> tuple[Any, ...]:
    """Returns the values of a range with a step, which is a factor if `log`; empty if there are too many to list."""
    if step is None or (step == 1 and not log):
        return ()
    count = math.log(high / low, step) if log else (high - low) / step
    if count > _MOST_STEPS:
        return ()
    values = [low * step**place if log else low + place * step for place in range(int(count + 1e-9) + 1)]
    return tuple(each if isinstance(each, int) else float(f"{each:.12g}") for each in values)

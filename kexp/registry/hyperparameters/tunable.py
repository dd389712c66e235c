"""A factory of models whose code declares its hyperparameters."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from kexp.errors import ComponentError, first_line
from kexp.registry.hyperparameters.declared import Condition, Declared
from kexp.registry.hyperparameters.recorder import HyperParameters
from kexp.signatures import Signature

__all__ = [
    "Tunable",
    "as_tunable",
]

_MOST_RUNS = 64  # calls of the function, to find hyperparameters that exist only with other values of others


class Tunable:
    """A factory of the model, whose parameters are the hyperparameters that the function declares.

    Args:
        build: the function of hp.
        label: its name in messages.
    """

    def __init__(self, build: Callable[[Any], Any], label: str) -> None:
        self.build, self.label = build, label
        self.__module__ = getattr(build, "__module__", "")
        self.__doc__ = inspect.getdoc(build)

    def __call__(self, **given: Any) -> Any:
        return self.build(HyperParameters(given))

    @cached_property
    def space(self) -> dict[str, Declared]:
        """Returns the hyperparameters in order, found by calling the function with its defaults and with other values.

        Raises:
            ComponentError: the function fails with its defaults.
        """
        drawn = random.getstate()  # Keras draws the seeds of initial weights from this generator
        try:
            found = self._declared({})
            tried, waiting = 1, _others(found, {})
            while waiting and tried < _MOST_RUNS:
                given, tried = waiting.pop(0), tried + 1
                try:
                    more = self._declared(given)
                except ComponentError:  # not every combination is a valid model
                    continue
                new = {name: each for name, each in more.items() if name not in found}
                for name, each in new.items():
                    found[name] = each if each.when else replace(each, when=_brought_up(given, found))
                waiting += _others(new, given)
            return _widened(found)
        finally:
            random.setstate(drawn)

    @property
    def kexp_signature(self) -> Signature:
        """The signature, read instead of that of `__call__`."""
        return Signature(tuple(each.parameter for each in self.space.values()), self.__doc__ or "")

    def _declared(self, given: Mapping[str, Any]) -> dict[str, Declared]:
        recorder = HyperParameters(given)
        try:
            self.build(recorder)
        except Exception as error:
            raise ComponentError(
                f"{self.label}: fails as it is built: {type(error).__name__}: {first_line(error)}"
            ) from error
        return recorder.declared


def as_tunable(made: Any, label: str) -> Tunable | None:
    """Returns a factory for code that is written for KerasTuner; None for other code.

    Args:
        made: a function, a partial or a method whose only required parameter is named hp, or annotated as
            HyperParameters; a HyperModel, or another object or class with such a `build`.
        label: its name in messages.

    Raises:
        ComponentError: a HyperModel has a `fit` of its own, or requires arguments.
    """
    if callable(made) and not inspect.isclass(made) and _takes_hp(made):
        return Tunable(made, label)
    build = getattr(made, "build", None)
    if build is None or not _takes_hp(build, bound=not inspect.isclass(made)):
        return None
    kind = made if inspect.isclass(made) else type(made)
    if any(
        "fit" in vars(each) for each in kind.__mro__ if not each.__module__.startswith(("keras_tuner", "kerastuner"))
    ):
        raise ComponentError(f"{label}: has a fit of its own, which is not called here; `trainer` has what fit takes")
    try:
        model: Any = made() if inspect.isclass(made) else made
        return Tunable(model.build, label)
    except TypeError as error:
        raise ComponentError(f"{label}: a HyperModel is made without arguments here: {first_line(error)}") from error


def _takes_hp(function: Any, *, bound: bool = True) -> bool:
    try:
        taken = list(inspect.signature(function).parameters.values())[0 if bound else 1 :]
    except (TypeError, ValueError):
        return False
    required = [
        each
        for each in taken
        if each.default is each.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    ]
    if len(required) != 1:
        return False
    kind = required[0].annotation
    return required[0].name == "hp" or "HyperParameters" in str(getattr(kind, "__name__", kind))


def _others(declared: Mapping[str, Declared], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns values to try, with one hyperparameter changed at a time, since others may exist only with them."""
    tried = []
    for name, each in declared.items():
        values: Sequence[Any] = each.values or (range(int(each.low), int(each.high) + 1) if each.whole else ())
        if len(values) > 10:  # the ends: a larger number usually leads to more hyperparameters
            values = [values[0], values[-1]]
        tried += [{**given, name: value} for value in values if value != each.default]
    return tried


def _brought_up(given: Mapping[str, Any], found: Mapping[str, Declared]) -> Condition:
    """Returns the condition of hyperparameters that were declared only with these values."""
    return tuple((name, (value,)) for name, value in given.items() if name in found)


def _widened(found: Mapping[str, Declared]) -> dict[str, Declared]:
    """Returns conditions on a number with all larger values too, as in `for i in range(hp.Int("layers", 1, 4))`."""
    widened = {}
    for name, each in found.items():
        conditions = []
        for parent, values in each.when:
            above = found.get(parent)
            grows = above is not None and above.whole and len(values) == 1 and values[0] > above.default
            up = tuple(range(int(values[0]), int(above.high) + 1)) if above is not None and grows else values
            conditions.append((parent, up))
        widened[name] = replace(each, when=tuple(conditions))
    return widened

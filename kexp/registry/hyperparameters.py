"""KerasTuner's habit: a function of `hp`, or a HyperModel, that declares its hyperparameters as it builds the model.

It is run with a recorder in the place of `hp`, so that what it declares become parameters of the config, and again with
the config's values when the model is built. KerasTuner itself is not needed, and not imported.
"""

from __future__ import annotations

import inspect
import itertools
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

from kexp.errors import ComponentError, first_line
from kexp.rules import Range
from kexp.signatures import Parameter, Signature

__all__ = ["Declared", "HyperParameters", "Tunable", "as_tunable", "axes_of"]

_MOST_RUNS = 64  # of the function, to find what it declares only where something else has another value
_MOST_STEPS = 200
Condition = tuple[tuple[str, tuple[Any, ...]], ...]


@dataclass(frozen=True)
class Declared:
    """One hyperparameter.

    Attributes:
        name: its parameter in the config: what the function calls it, with `_` for what a key has not.
        default: its value unless the config has another.
        values: what it may be, where that is a list.
        low: its least value, else.
        high: its greatest value.
        whole: whether it is a whole number.
        log: whether it is searched by its logarithm.
        when: (parameter, values): it is there only where each of these has one of these values.
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
        """It as a parameter of the config."""
        if self.values:
            kind: Any = bool if set(self.values) == {True, False} else Literal[tuple(self.values)]
        else:
            kind = Annotated[int if self.whole else float, Range(ge=self.low, le=self.high)]
        return Parameter(self.name, self.default, kind, "a hyperparameter that the model's code declares")


class HyperParameters:
    """What the function is given for `hp`: KerasTuner's methods, that note what is declared and give its value.

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
        """A whole number of a range that holds both ends."""
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
        """A number of a range that holds both ends."""
        return self._ranged(name, (float(min_value), float(max_value), step), sampling, default, parent)

    def Choice(  # noqa: N802
        self, name: str, values: Sequence[Any], ordered: bool | None = None, default: Any = None, **parent: Any
    ) -> Any:
        """One of some values."""
        first = values[0] if default is None else default
        return self._note(name, Declared(_key(name), first, tuple(values)), parent)

    def Boolean(self, name: str, default: bool = False, **parent: Any) -> Any:  # noqa: N802
        """True or false."""
        return self._note(name, Declared(_key(name), default, (False, True)), parent)

    def Fixed(self, name: str, value: Any, **parent: Any) -> Any:  # noqa: N802
        """A value that is no choice."""
        return self._note(name, Declared(_key(name), value, (value,)), parent)

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """What is declared inside is there only where the parent has one of the values."""
        self._scopes.append((_key(parent_name), _listed(parent_values)))
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Of no meaning here: names are whole already."""
        yield

    def get(self, name: str) -> Any:
        """The value of what was declared."""
        return self.values[name]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def is_active(self, name: str) -> bool:
        """Whether it was declared."""
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
        kind = Declared(_key(name), first, values) if values else Declared(_key(name), first, (), low, high, whole, log)
        return self._note(name, kind, parent)

    def _note(self, name: str, kind: Declared, parent: Mapping[str, Any]) -> Any:
        scopes = list(self._scopes)
        if parent.get("parent_name") is not None:
            scopes.append((_key(parent["parent_name"]), _listed(parent.get("parent_values"))))
        if kind.name not in self.declared:
            self.declared[kind.name] = replace(kind, when=tuple(scopes))
        self.values[name] = self._given.get(kind.name, kind.default)
        return self.values[name]


class Tunable:
    """A factory of the model, whose parameters are what the function declares.

    Args:
        build: the function of hp.
        label: what it is called in messages.
    """

    def __init__(self, build: Callable[[Any], Any], label: str) -> None:
        self.build, self.label = build, label
        self.__module__ = getattr(build, "__module__", "")
        self.__doc__ = inspect.getdoc(build)

    def __call__(self, **given: Any) -> Any:
        return self.build(HyperParameters(given))

    @cached_property
    def space(self) -> dict[str, Declared]:
        """What it declares, in its order; found by running it, with other values where these may bring up more.

        Raises:
            ComponentError: it fails with its own defaults.
        """
        drawn = random.getstate()  # Keras draws the seeds of initial weights there
        try:
            found = self._declared({})
            tried, waiting = 1, _others(found, {})
            while waiting and tried < _MOST_RUNS:
                given, tried = waiting.pop(0), tried + 1
                try:
                    more = self._declared(given)
                except ComponentError:  # not every combination need be a model
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
        """Read in the place of the call's own."""
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
    """A factory for what is written for KerasTuner; None for all else.

    Args:
        made: what is called with hp alone, a function, a partial or a method: its one required parameter is called hp,
            or is annotated as HyperParameters; a HyperModel or another object or class with a `build` of that kind.
        label: what it is called in messages.

    Raises:
        ComponentError: a HyperModel that trains the model in its own way.
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


def _key(name: str) -> str:
    """A hyperparameter's name as a key of the config."""
    key = re.sub(r"\W", "_", str(name))
    return key if key.isidentifier() else f"_{key}"


def _listed(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (list, tuple)) else (values,)


def _steps(low: Any, high: Any, step: Any, log: bool) -> tuple[Any, ...]:
    """The values of a range with a step; a step multiplies in logarithms. None where there are too many to list."""
    if step is None or (step == 1 and not log):
        return ()
    count = math.log(high / low, step) if log else (high - low) / step
    if count > _MOST_STEPS:
        return ()
    values = [low * step**place if log else low + place * step for place in range(int(count + 1e-9) + 1)]
    return tuple(each if isinstance(each, int) else float(f"{each:.12g}") for each in values)


def _others(declared: Mapping[str, Declared], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values of each hyperparameter, one changed at a time, that may bring up others."""
    tried = []
    for name, each in declared.items():
        values: Sequence[Any] = each.values or (range(int(each.low), int(each.high) + 1) if each.whole else ())
        if len(values) > 10:  # the ends: more of a number mostly brings up more
            values = [values[0], values[-1]]
        tried += [{**given, name: value} for value in values if value != each.default]
    return tried


def _brought_up(given: Mapping[str, Any], found: Mapping[str, Declared]) -> Condition:
    """The conditions of what was declared only with some values given."""
    return tuple((name, (value,)) for name, value in given.items() if name in found)


def _widened(found: Mapping[str, Declared]) -> dict[str, Declared]:
    """Where a number brought something up, all values from there on do: `for i in range(hp.Int("layers", 1, 4))`."""
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


def axes_of(space: Mapping[str, Declared]) -> dict[str, tuple[str | list[Any], Condition]]:
    """What a search may choose from, by parameter, in Hydra's grammar: a list of values, an interval, a range."""
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

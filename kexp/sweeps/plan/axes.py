"""From a sweep's arguments to its trials' overrides: Hydra's sweep grammar, multiplied out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kexp.config import as_choice, explain_grammar, key_of, readable
from kexp.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

__all__ = ["axis", "expand", "parse", "with_folds", "with_seeds"]


def parse(arguments: Iterable[str], config_loader: Any = None) -> list[Override]:
    """The arguments as Hydra understands them.

    Raises:
        ConfigError: Hydra does not; a range has no step.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import RangeSweep
    from hydra.errors import OverrideParseException

    try:
        ready = [as_choice(readable(each)) for each in arguments]
        parsed = OverridesParser.create(config_loader=config_loader).parse_overrides(ready)
    except OverrideParseException as error:
        raise explain_grammar(error) from error
    for override in parsed:
        value = override.value() if override.is_sweep_override() else None
        if isinstance(value, RangeSweep) and not value.step:
            raise ConfigError(f"{override.key_or_group}: the step of a range must not be 0")
    return parsed


def expand(overrides: Sequence[Override]) -> list[tuple[str, ...]]:
    """The overrides of each trial: every combination of the axes' values, the last axis fastest.

    Raises:
        ConfigError: an axis that a grid cannot go through, such as an interval; an axis without values.
    """
    axes = [axis(override) for override in overrides]
    return list(itertools.product(*axes))


def with_seeds(arguments: Sequence[str], seeds: int | None) -> list[str]:
    """The arguments with an axis of `seeds` seeds more, counted from 0 (`sweep.seeds=5`).

    Raises:
        ConfigError: the arguments sweep over seeds already.
    """
    if seeds is None:
        return list(arguments)
    if any(key_of(argument) == "seed" for argument in arguments):
        raise ConfigError("sweep.seeds: cannot be given together with seed=..., which chooses the seeds itself")
    return [*arguments, f"seed=range({seeds})"]


def with_folds(arguments: Sequence[str], folds: int | None) -> list[str]:
    """The arguments with each of `folds` folds (`sweep.folds=5`).

    Raises:
        ConfigError: the arguments choose folds already.
    """
    if folds is None:
        return list(arguments)
    for argument in arguments:
        key = key_of(argument)
        if key in ("data.folds", "data.fold"):
            raise ConfigError(f"sweep.folds: cannot be given together with {key}=..., which chooses the folds itself")
    return [*arguments, f"data.folds={folds}", f"data.fold=range({folds})"]


def axis(override: Override) -> list[str]:
    """An override of each of its values.

    Raises:
        ConfigError: a grid cannot go through it, or it has no values.
    """
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"] if not override.is_delete() else [key]
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{override.key_or_group}: an interval has no end of values for a grid; "
            "choose hydra/sweeper=optuna, or list values"
        )
    # The grammar's functions take the quotes off what they are given.
    values = [readable(f"{key}={value}") for value in override.sweep_string_iterator()]
    if not values:
        raise ConfigError(f"{override.key_or_group}: the sweep over it has no values")
    return values

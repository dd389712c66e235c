"""Expands a sweep's arguments, in Hydra's sweep grammar, to the overrides of each trial."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kexp.config import as_overrides, explain_grammar, key_of, quote_text
from kexp.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

__all__ = ["axis", "expand", "parse", "with_folds", "with_seeds"]


def parse(arguments: Iterable[str], config_loader: Any = None) -> list[Override]:
    """Parses overrides with Hydra's grammar.

    Args:
        arguments: overrides as typed.
        config_loader: Hydra's config loader, needed for globs over a group's options.

    Raises:
        ConfigError: Hydra cannot parse an override, or the step of a range is 0.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import RangeSweep
    from hydra.errors import OverrideParseException

    try:
        ready = [one for each in arguments for one in as_overrides(quote_text(each))]
        parsed = OverridesParser.create(config_loader=config_loader).parse_overrides(ready)
    except OverrideParseException as error:
        raise explain_grammar(error) from error
    for override in parsed:
        value = override.value() if override.is_sweep_override() else None
        if isinstance(value, RangeSweep) and not value.step:
            raise ConfigError(f"{override.key_or_group}: the step of a range must not be 0")
    return parsed


def expand(overrides: Sequence[Override]) -> list[tuple[str, ...]]:
    """Returns the overrides of each trial: every combination of the axes' values, the last axis varying fastest.

    Raises:
        ConfigError: an axis is continuous, such as an interval, or has no values.
    """
    axes = [axis(override) for override in overrides]
    return list(itertools.product(*axes))


def with_seeds(arguments: Sequence[str], seeds: int | None) -> list[str]:
    """Adds an axis of `seeds` seeds, counted from 0 (`sweep.seeds=5`); None adds nothing.

    Raises:
        ConfigError: the arguments already set `seed`.
    """
    if seeds is None:
        return list(arguments)
    if any(key_of(argument) == "seed" for argument in arguments):
        raise ConfigError("sweep.seeds: cannot be given together with seed=..., which chooses the seeds itself")
    return [*arguments, f"seed=range({seeds})"]


def with_folds(arguments: Sequence[str], folds: int | None) -> list[str]:
    """Adds an axis of `folds` cross-validation folds (`sweep.folds=5`); None adds nothing.

    Raises:
        ConfigError: the arguments already set `data.folds` or `data.fold`.
    """
    if folds is None:
        return list(arguments)
    for argument in arguments:
        key = key_of(argument)
        if key in ("data.folds", "data.fold"):
            raise ConfigError(f"sweep.folds: cannot be given together with {key}=..., which chooses the folds itself")
    return [*arguments, f"data.folds={folds}", f"data.fold=range({folds})"]


def axis(override: Override) -> list[str]:
    """Returns one override for each value of an axis.

    Raises:
        ConfigError: the axis is continuous, or has no values.
    """
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"] if not override.is_delete() else [key]
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{override.key_or_group}: a grid cannot list the values of an interval; "
            "choose hydra/sweeper=optuna, or list values"
        )
    # Functions of Hydra's grammar, such as `choice`, remove the quotes of their arguments.
    values = [quote_text(f"{key}={value}") for value in override.sweep_string_iterator()]
    if not values:
        raise ConfigError(f"{override.key_or_group}: the sweep over it has no values")
    return values

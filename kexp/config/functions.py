"""Sweep functions that Hydra's grammar lacks: values in even steps or ratios, named as in NumPy."""

# Hydra reads the annotations at run time, so they are not postponed here.

from typing import TYPE_CHECKING, Union

from hydra.core.override_parser import overrides_parser
from hydra.core.override_parser.types import ChoiceSweep

if TYPE_CHECKING:
    from hydra._internal.grammar.functions import Functions

__all__ = ["add_functions"]

Number = Union[int, float]  # noqa: UP007  Hydra knows no other unions
_hydra_functions = overrides_parser.create_functions


def linspace(start: Number, stop: Number, num: int) -> ChoiceSweep:
    """Returns `num` values from `start` to `stop`, both included, in even steps, to twelve digits.

    Args:
        start: the first value.
        stop: the last value.
        num: how many values, >= 1.

    Raises:
        ValueError: `num` is below 1.
    """
    return _values([start + (stop - start) * share for share in _shares(num)], digits=12)


def logspace(start: Number, stop: Number, num: int) -> ChoiceSweep:
    """Returns `num` values from 10**start to 10**stop, both included, in even ratios, to six digits.

    Args:
        start: the exponent of the first value.
        stop: the exponent of the last value.
        num: how many values, >= 1.

    Raises:
        ValueError: `num` is below 1.
    """
    return _values([10.0 ** (start + (stop - start) * share) for share in _shares(num)], digits=6)


def geomspace(start: Number, stop: Number, num: int) -> ChoiceSweep:
    """Returns `num` values from `start` to `stop`, both included, in even ratios, to six digits.

    Args:
        start: the first value, not 0.
        stop: the last value, of the same sign.
        num: how many values, >= 1.

    Raises:
        ValueError: `num` is below 1, or `start` and `stop` differ in sign or one is 0.
    """
    if start * stop <= 0:
        raise ValueError(f"start and stop must be of the same sign, and not 0, got {start} and {stop}")
    return _values([start * (stop / start) ** share for share in _shares(num)], digits=6)


def add_functions() -> None:
    """Adds the functions to Hydra's grammar."""
    overrides_parser.create_functions = _all_functions


def _all_functions() -> "Functions":
    functions = _hydra_functions()
    for each in (linspace, logspace, geomspace):
        functions.register(each.__name__, each)
    return functions


def _shares(num: int) -> list[float]:
    if num < 1:
        raise ValueError(f"num must be at least 1, got {num}")
    return [position / max(1, num - 1) for position in range(num)]


def _values(exact: list[float], digits: int) -> ChoiceSweep:
    return ChoiceSweep(list=[float(f"{value:.{digits}g}") for value in exact])

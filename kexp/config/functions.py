"""Functions for sweeps that Hydra's grammar lacks: values in even steps or ratios, named as NumPy names them."""

# Hydra reads the annotations as they stand, so they are not postponed here.

from typing import TYPE_CHECKING, Union

from hydra.core.override_parser import overrides_parser
from hydra.core.override_parser.types import ChoiceSweep

if TYPE_CHECKING:
    from hydra._internal.grammar.functions import Functions

__all__ = ["add_functions"]

Number = Union[int, float]  # noqa: UP007  Hydra knows no other unions
_hydras_own = overrides_parser.create_functions


def linspace(start: Number, stop: Number, num: int) -> ChoiceSweep:
    """`num` values from start to stop, both among them, in even steps.

    Raises:
        ValueError: num is below 1.
    """
    return _values([start + (stop - start) * share for share in _shares(num)], digits=12)


def logspace(start: Number, stop: Number, num: int) -> ChoiceSweep:
    """`num` values from 10**start to 10**stop, both among them, in even ratios, to six digits.

    Raises:
        ValueError: num is below 1.
    """
    return _values([10.0 ** (start + (stop - start) * share) for share in _shares(num)], digits=6)


def geomspace(start: Number, stop: Number, num: int) -> ChoiceSweep:
    """`num` values from start to stop, both among them, in even ratios, to six digits.

    Raises:
        ValueError: num is below 1; start and stop are not of the same sign, or one is 0.
    """
    if start * stop <= 0:
        raise ValueError(f"start and stop must be of the same sign, and not 0, got {start} and {stop}")
    return _values([start * (stop / start) ** share for share in _shares(num)], digits=6)


def add_functions() -> None:
    """Makes Hydra know them, on its own command line too."""
    overrides_parser.create_functions = _with_ours


def _with_ours() -> "Functions":
    functions = _hydras_own()
    for each in (linspace, logspace, geomspace):
        functions.register(each.__name__, each)
    return functions


def _shares(num: int) -> list[float]:
    if num < 1:
        raise ValueError(f"num must be at least 1, got {num}")
    return [position / max(1, num - 1) for position in range(num)]


def _values(exact: list[float], digits: int) -> ChoiceSweep:
    return ChoiceSweep(list=[float(f"{value:.{digits}g}") for value in exact])

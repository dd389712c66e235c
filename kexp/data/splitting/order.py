"""The order of rows in an epoch, a pure function of seed and epoch."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from kexp.system.large_arrays import numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["epoch_order", "split_generator"]

_WORD = 2**64
_SPLIT_STREAM = _WORD - 1


@lru_cache(maxsize=4)  # each step of a pass, and lanes with equal seeds, ask for the same order
def epoch_order(n: int, seed: int, epoch: int, shuffle: bool = True) -> NDArray[np.intp]:
    """Return the row positions of an epoch in order, each of 0..n-1 once.

    The permutation is `numpy.random.Generator(Philox(key=[seed, epoch])).permutation(n)`. Philox is counter-based, so
    the order of any epoch is computed without those before it, and keys that differ in one bit give unrelated streams.

    Args:
        n: number of rows.
        seed: any integer; taken modulo 2**64.
        epoch: the epoch, from 0.
        shuffle: False gives 0..n-1.

    Returns:
        Positions, shape (n,), read-only.

    Source:
        Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3.
    """
    order = numbered(n)
    if shuffle:
        _generator(seed, epoch).shuffle(order)
    order.flags.writeable = False
    return order


def split_generator(seed: int) -> np.random.Generator:
    """Return the random generator of a split, whose stream no epoch's order uses."""
    return _generator(seed, _SPLIT_STREAM)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed % _WORD, stream % _WORD], dtype=np.uint64)))

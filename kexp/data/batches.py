"""One part cut into batches, whose rows the seed alone decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.order import epoch_order
from kexp.data.parts import Part
from kexp.data.weights import class_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Batches"]


class Batches:
    """Batches by step.

    Step s of epoch e takes batch `(e * steps_per_epoch + s) % batches` of pass `(e * steps_per_epoch + s) // batches`
    over the rows. With the default `steps_per_epoch`, which is all batches of a pass, epoch and pass are the same;
    with another, an epoch goes on where the one before it stopped. Either way the rows of every step are a function of
    the seed alone, and any epoch can be the first.

    Args:
        part: what to feed.
        held: whether rows are read into memory once, if they are not there already.
        batch_size: rows a step; the last batch of a pass holds what is left, of fewer rows all.
        seed: decides the order of every pass.
        shuffle: False feeds rows in order.
        class_weight: weight by class index or name, 1 for classes left out; multiplies the rows' own weights.
    """

    def __init__(
        self,
        part: Part,
        *,
        held: bool,
        batch_size: int,
        seed: int,
        shuffle: bool,
        class_weight: Mapping[Any, float] | None,
    ) -> None:
        self.part, self.batch_size, self.seed, self.shuffle = part, batch_size, seed, shuffle
        self.in_memory = part.in_memory or (held and not getattr(part.data.source, "is_large", False))
        self.batches = -(-len(part) // batch_size)
        self.weights = _weights(part, class_weight)

    def rows(self, step: int, *, in_order: bool = False) -> NDArray[np.intp]:
        """Positions within the part that one step takes; `step` is counted from the start of epoch 0."""
        start = step % self.batches * self.batch_size
        return self.order(step // self.batches, in_order=in_order)[start : start + self.batch_size]

    def order(self, number: int, *, in_order: bool = False) -> NDArray[np.intp]:
        """Positions within the part in the order of one pass, counted from 0."""
        return epoch_order(len(self.part), self.seed, number if self.shuffle else 0, self.shuffle and not in_order)

    def batch(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """Features, targets and, where rows do not count alike, weights of the given positions within the part."""
        if self.in_memory:
            x, y = self.part.arrays()
            x, y = x[rows], y[rows]
        else:
            x, y = self.part.batch(rows)
        return (x, y) if self.weights is None else (x, y, self.weights[rows])


def _weights(part: Part, class_weight: Mapping[Any, float] | None) -> NDArray[np.float32] | None:
    """How much each row of a part counts: its own weight, times its class's; None where all count alike."""
    by_index = class_weights(part, class_weight)
    if by_index is None:
        return part.weights
    table = np.array([by_index[index] for index in range(part.spec.outputs)], dtype=np.float32)
    weights: NDArray[np.float32] = table[part.labels]
    return weights if part.weights is None else weights * part.weights

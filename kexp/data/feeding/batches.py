"""Cut a part into batches. Only the seed decides which rows a batch has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.feeding.weights import class_weights
from kexp.data.splitting.order import epoch_order
from kexp.data.splitting.parts import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Batches"]


class Batches:
    """The batches of a part, by step.

    Step s of epoch e takes batch `(e * steps_per_epoch + s) % batches` of pass `(e * steps_per_epoch + s) // batches`
    over the rows. By default, `steps_per_epoch` is the number of batches of a pass, so an epoch is a pass. Otherwise an
    epoch continues where the one before it stopped. In both cases the rows of a step depend only on the seed, and
    training can start at any epoch.

    Args:
        part: the part to feed.
        held: whether to read the rows into memory once, if they are not in memory already.
        batch_size: rows of a batch; the last batch of a pass has the remaining rows.
        seed: decides the order of every pass.
        shuffle: False feeds rows in order.
        class_weight: class index or name -> weight; 1 for classes that are left out. Multiplied with sample weights.
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
        """Returns the positions in the part that a step takes; `step` counts from the start of epoch 0."""
        number, start = step // self.batches, step % self.batches * self.batch_size
        return self.between(number, start, start + self.batch_size, in_order=in_order)

    def between(self, number: int, start: int, stop: int, *, in_order: bool = False) -> NDArray[np.intp]:
        """Returns some of the positions in the part in the order of a pass; passes count from 0."""
        if in_order or not self.shuffle:
            return np.arange(start, min(stop, len(self.part)), dtype=np.intp)
        return self.order(number)[start:stop]

    def order(self, number: int) -> NDArray[np.intp]:
        """Returns the positions in the part in the order of a training pass."""
        return epoch_order(len(self.part), self.seed, number if self.shuffle else 0, self.shuffle)

    def batch(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """Returns features, targets and, if rows have weights, the weights of the given positions in the part."""
        if self.in_memory:
            x, y = self.part.arrays()
            x, y = x[rows], y[rows]
        else:
            x, y = self.part.batch(rows)
        return (x, y) if self.weights is None else (x, y, self.weights[rows])


def _weights(part: Part, class_weight: Mapping[Any, float] | None) -> NDArray[np.float32] | None:
    """Return the weight of each row: its sample weight times its class weight; None if all are equal."""
    by_index = class_weights(part, class_weight)
    if by_index is None:
        return part.weights
    table = np.array([by_index[index] for index in range(part.spec.outputs)], dtype=np.float32)
    weights: NDArray[np.float32] = table[part.labels]
    return weights if part.weights is None else weights * part.weights

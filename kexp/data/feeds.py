"""Feeding a part to Keras: the same batches in the same order from NumPy and from tf.data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from kexp.data.order import epoch_order
from kexp.data.parts import Part
from kexp.data.weights import class_weights
from kexp.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Feed", "FeedKind", "feed"]

FeedKind = Literal["numpy", "tfdata"]


class Feed:
    """One part, cut into batches; made by `feed`.

    Step s of epoch e takes batch `(e * steps_per_epoch + s) % batches` of pass `(e * steps_per_epoch + s) // batches`
    over the rows. With the default `steps_per_epoch`, which is all batches of a pass, epoch and pass are the same;
    with another, an epoch goes on where the one before it stopped. Either way the rows of every step are a function of
    the seed alone, and any epoch can be the first.

    Args:
        part: what to feed.
        kind: "numpy" reads the part into memory once; "tfdata" streams what is not in memory already.
        batch_size: rows a step; the last batch of a pass holds what is left, of fewer rows all.
        seed: decides the order of every pass.
        shuffle: False feeds rows in order.
        sample_weight: weight by class index or name, 1 for classes left out; Keras gets it as a third array.
        steps_per_epoch: steps that make an epoch; all batches of a pass by default.
        epochs: last epoch that `epochs` gives, counted from 0; endless by default.
    """

    def __init__(
        self,
        part: Part,
        *,
        kind: FeedKind,
        batch_size: int,
        seed: int,
        shuffle: bool,
        sample_weight: Mapping[Any, float] | None,
        steps_per_epoch: int | None,
        epochs: int | None,
    ) -> None:
        self.part, self.kind, self.batch_size = part, kind, batch_size
        self.seed, self.shuffle, self.last_epoch = seed, shuffle, epochs
        self.batches = -(-len(part) // batch_size)
        self.steps_per_epoch = self.batches if steps_per_epoch is None else steps_per_epoch
        self._weights = None if sample_weight is None else _weight_table(part, sample_weight)

    def rows(self, step: int, *, in_order: bool = False) -> NDArray[np.intp]:
        """Positions within the part that one step takes; `step` is counted from the start of epoch 0."""
        start = step % self.batches * self.batch_size
        return self.order(step // self.batches, in_order=in_order)[start : start + self.batch_size]

    def order(self, number: int, *, in_order: bool = False) -> NDArray[np.intp]:
        """Positions within the part in the order of one pass, counted from 0."""
        return epoch_order(len(self.part), self.seed, number if self.shuffle else 0, self.shuffle and not in_order)

    def batch(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """Features, targets and, with class weights, sample weights of the given positions within the part."""
        if self.kind == "numpy" or self.part.in_memory:
            x, y = self.part.arrays()
            x, y = x[rows], y[rows]
        else:
            x, y = self.part.batch(rows)
        if self._weights is None:
            return x, y
        return x, y, self._weights[self.part.labels[rows]]

    def epochs(self, first_epoch: int = 0) -> Any:
        """All epochs from `first_epoch` on, in a row, for `fit(x=..., steps_per_epoch=feed.steps_per_epoch)`."""
        first = first_epoch * self.steps_per_epoch
        last = None if self.last_epoch is None else self.last_epoch * self.steps_per_epoch
        if self.kind == "tfdata":
            from kexp.data.tfdata import dataset

            return dataset(self, first, last, in_order=False)
        return self._generate(first, last)

    def once(self) -> Any:
        """One pass in row order, for evaluate, predict and validation_data; may be iterated again."""
        if self.kind == "tfdata":
            from kexp.data.tfdata import dataset

            return dataset(self, 0, self.batches, in_order=True)
        from kexp.data.sequence import one_pass

        return one_pass(self)

    def _generate(self, first: int, last: int | None) -> Iterator[tuple[NDArray[Any], ...]]:
        step = first
        while last is None or step < last:
            yield self.batch(self.rows(step))
            step += 1


def feed(
    part: Part,
    *,
    kind: FeedKind = "numpy",
    batch_size: int,
    seed: int = 0,
    shuffle: bool = True,
    sample_weight: Mapping[Any, float] | None = None,
    steps_per_epoch: int | None = None,
    epochs: int | None = None,
) -> Feed:
    """A feed of a part; arguments as in `Feed`.

    Raises:
        UnknownNameError: there is no such kind.
        DataError: a batch size or a number of steps that is not positive, class weights for a regression.
    """
    if kind not in get_args(FeedKind):
        raise UnknownNameError("data.feed", "feed", kind, get_args(FeedKind))
    for key, value in (("trainer.batch_size", batch_size), ("trainer.steps_per_epoch", steps_per_epoch)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise DataError(f"{key}: must be a positive integer, got {value!r}")
    return Feed(
        part,
        kind=kind,
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
        sample_weight=sample_weight,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
    )


def _weight_table(part: Part, weights: Mapping[Any, float]) -> NDArray[np.float32]:
    by_index = class_weights(part, weights) or {}
    return np.array([by_index[index] for index in range(part.spec.outputs)], dtype=np.float32)

"""Feed a part to Keras, with the same batches in the same order from NumPy and from tf.data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from kexp.data.feeding.weights import class_weights
from kexp.data.splitting.order import epoch_order
from kexp.data.splitting.parts import Part
from kexp.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Feed", "FeedKind", "feed"]

FeedKind = Literal["numpy", "tfdata"]


class Feed:
    """The batches of a part, by step, in the forms that Keras takes.

    Step s of epoch e takes batch `(e * steps_per_epoch + s) % batches` of pass `(e * steps_per_epoch + s) // batches`
    over the rows. By default, `steps_per_epoch` is the number of batches of a pass, so an epoch is a pass. Otherwise an
    epoch continues where the one before it stopped. In both cases the rows of a step depend only on the seed, and
    training can start at any epoch.

    Args:
        part: the part to feed.
        kind: "numpy" reads the part into memory once; "tfdata" streams rows that are not in memory already.
        batch_size: rows of a batch; the last batch of a pass has the remaining rows.
        seed: decides the order of every pass.
        shuffle: False feeds rows in order.
        class_weight: class index or name -> weight; 1 for classes that are left out. Multiplied with sample weights.
        steps_per_epoch: steps of an epoch; all batches of a pass by default.
        epochs: the epoch, counted from 0, before which the method `epochs` ends; endless by default.

    Raises:
        UnknownNameError: the kind is unknown.
        DataError: the batch size or the number of steps is not positive.
    """

    def __init__(
        self,
        part: Part,
        *,
        kind: FeedKind = "numpy",
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        class_weight: Mapping[Any, float] | None = None,
        steps_per_epoch: int | None = None,
        epochs: int | None = None,
    ) -> None:
        if kind not in get_args(FeedKind):
            raise UnknownNameError("data.feed", "feed", kind, get_args(FeedKind))
        for key, value in (("trainer.batch_size", batch_size), ("trainer.steps_per_epoch", steps_per_epoch)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise DataError(f"{key}: must be a positive integer, got {value!r}")
        self.part, self.kind, self.batch_size, self.seed, self.shuffle = part, kind, batch_size, seed, shuffle
        self.in_memory = part.in_memory or (kind == "numpy" and not getattr(part.data.source, "is_large", False))
        self.batches = -(-len(part) // batch_size)
        self.steps_per_epoch = self.batches if steps_per_epoch is None else steps_per_epoch
        self.last_epoch = epochs
        self.weights = _weights(part, class_weight)

    def epochs(self, first_epoch: int = 0) -> Any:
        """Returns the batches of all epochs from `first_epoch` on, for `fit(x=..., steps_per_epoch=...)`."""
        first = first_epoch * self.steps_per_epoch
        last = None if self.last_epoch is None else self.last_epoch * self.steps_per_epoch
        if self.kind == "tfdata":
            from kexp.data.feeding.tfdata import dataset

            return dataset(self, first, last, in_order=False)
        return self._generate(first, last)

    def once(self, steps: int | None = None) -> Any:
        """Returns one pass in row order, for evaluate, predict and validation_data; it can be iterated repeatedly.

        Args:
            steps: the number of batches to stop after; all of them by default.
        """
        if self.kind == "tfdata":
            from kexp.data.feeding.tfdata import dataset

            whole = dataset(self, 0, self.batches, in_order=True)
            return whole if steps is None else whole.take(steps)
        return _one_pass(self, self.batches if steps is None else min(steps, self.batches))

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

    def _generate(self, first: int, last: int | None) -> Iterator[tuple[NDArray[Any], ...]]:
        step = first
        while last is None or step < last:
            yield self.batch(self.rows(step))
            step += 1


def feed(part: Part, **options: Any) -> Feed:
    """Create a feed of a part; see `Feed` for the options and the errors."""
    return Feed(part, **options)


def _one_pass(given: Feed, steps: int) -> Any:
    """Return a `keras.utils.PyDataset` of the first batches in row order.

    A generator cannot be used, because as validation data it would be exhausted after the first epoch.
    """
    import keras

    class OnePass(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return steps

        def __getitem__(self, step: int) -> tuple[Any, ...]:
            return given.batch(given.rows(step, in_order=True))

    return OnePass()


def _weights(part: Part, class_weight: Mapping[Any, float] | None) -> NDArray[np.float32] | None:
    """Return the weight of each row: its sample weight times its class weight; None if all are equal."""
    by_index = class_weights(part, class_weight)
    if by_index is None:
        return part.weights
    table = np.array([by_index[index] for index in range(part.spec.outputs)], dtype=np.float32)
    weights: NDArray[np.float32] = table[part.labels]
    return weights if part.weights is None else weights * part.weights

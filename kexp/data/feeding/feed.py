"""Feed a part to Keras, with the same batches in the same order from NumPy and from tf.data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from kexp.data.feeding.batches import Batches
from kexp.data.splitting.parts import Part
from kexp.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Feed", "FeedKind", "feed"]

FeedKind = Literal["numpy", "tfdata"]


class Feed(Batches):
    """Batches in the forms that Keras takes; created by `feed`.

    Args:
        part: the part to feed.
        kind: "numpy" reads the part into memory once; "tfdata" streams rows that are not in memory already.
        steps_per_epoch: steps of an epoch; all batches of a pass by default.
        epochs: the epoch, counted from 0, before which the method `epochs` ends; endless by default.
        options: the other arguments of `Batches`.
    """

    def __init__(
        self, part: Part, *, kind: FeedKind, steps_per_epoch: int | None, epochs: int | None, **options: Any
    ) -> None:
        super().__init__(part, held=kind == "numpy", **options)
        self.kind, self.last_epoch = kind, epochs
        self.steps_per_epoch = self.batches if steps_per_epoch is None else steps_per_epoch

    def epochs(self, first_epoch: int = 0) -> Any:
        """Returns the batches of all epochs from `first_epoch` on, for `fit(x=..., steps_per_epoch=...)`."""
        first = first_epoch * self.steps_per_epoch
        last = None if self.last_epoch is None else self.last_epoch * self.steps_per_epoch
        if self.kind == "tfdata":
            from kexp.data.feeding.tfdata import dataset

            return dataset(self, first, last, in_order=False)
        return self._generate(first, last)

    def once(self) -> Any:
        """Returns one pass in row order, for evaluate, predict and validation_data; it can be iterated repeatedly."""
        if self.kind == "tfdata":
            from kexp.data.feeding.tfdata import dataset

            return dataset(self, 0, self.batches, in_order=True)
        return _one_pass(self)

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
    class_weight: Mapping[Any, float] | None = None,
    steps_per_epoch: int | None = None,
    epochs: int | None = None,
) -> Feed:
    """Create a feed of a part; see `Feed` and `Batches` for the arguments.

    Raises:
        UnknownNameError: the kind is unknown.
        DataError: the batch size or the number of steps is not positive.
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
        class_weight=class_weight,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
    )


def _one_pass(batches: Batches) -> Any:
    """Return a `keras.utils.PyDataset` of the batches in row order.

    A generator cannot be used, because as validation data it would be exhausted after the first epoch.
    """
    import keras

    class OnePass(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return batches.batches

        def __getitem__(self, step: int) -> tuple[Any, ...]:
            return batches.batch(batches.rows(step, in_order=True))

    return OnePass()

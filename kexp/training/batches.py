"""Batches of a split: the protocol of a feed, and one pass over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

__all__ = ["Feed", "batches_of"]


class Feed(Protocol):
    """Batches of one split of the data.

    Attributes:
        steps_per_epoch: batches of an epoch, > 0.
    """

    steps_per_epoch: int

    def epochs(self, first_epoch: int = 0) -> Any:
        """Returns the batches of all epochs from `first_epoch`, counted from 0, on, in the form that `fit` takes."""

    def once(self, steps: int | None = None) -> Any:
        """Returns one pass in order, as a `keras.utils.PyDataset` or a `tf.data.Dataset`.

        It ends after `steps` batches. Keras' own `validation_steps` would run each compiled call to its full length,
        beyond that number.
        """


def batches_of(feed: Feed) -> Iterator[Any]:
    """Yields the batches of one pass over `feed`."""
    import keras

    dataset = feed.once()
    if isinstance(dataset, keras.utils.PyDataset):
        return (dataset[index] for index in range(len(dataset)))
    return iter(dataset)

"""Batches of a split: the protocol of a feed, one pass over it, and its first batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

__all__ = ["Feed", "batches_of", "first_batches"]


class Feed(Protocol):
    """Batches of one split of the data.

    Attributes:
        steps_per_epoch: batches of an epoch, > 0.
    """

    steps_per_epoch: int

    def epochs(self, first_epoch: int = 0) -> Any:
        """Returns the batches of all epochs from `first_epoch`, counted from 0, on, in the form that `fit` takes."""

    def once(self) -> Any:
        """Returns one pass in order, as a `keras.utils.PyDataset` or a `tf.data.Dataset`."""


def first_batches(feed: Feed, count: int | None) -> Any:
    """Returns one pass over the first batches.

    It replaces Keras' `validation_steps`, which runs each compiled call to its full length, beyond that number.

    Args:
        feed: the batches.
        count: how many, > 0; None for all.

    Returns:
        A `keras.utils.PyDataset` or a `tf.data.Dataset`.
    """
    import keras

    dataset = feed.once()
    if count is None:
        return dataset
    if not isinstance(dataset, keras.utils.PyDataset):
        return dataset.take(count)
    limit = min(count, len(dataset))

    class First(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return limit

        def __getitem__(self, index: int) -> Any:
            return dataset[index]

    return First()


def batches_of(feed: Feed) -> Iterator[Any]:
    """Yields the batches of one pass over `feed`."""
    import keras

    dataset = feed.once()
    if isinstance(dataset, keras.utils.PyDataset):
        return (dataset[index] for index in range(len(dataset)))
    return iter(dataset)

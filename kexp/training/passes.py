"""One pass over a part of the data: all of it, or its first batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

__all__ = ["Feed", "batches_of", "first_batches"]


class Feed(Protocol):
    """Batches of one part of the data."""

    steps_per_epoch: int

    def epochs(self, first_epoch: int = 0) -> Any:
        """All epochs from `first_epoch` on, one after another."""

    def once(self) -> Any:
        """One pass in order: a `keras.utils.PyDataset` or a `tf.data.Dataset`."""


def first_batches(feed: Feed, count: int | None) -> Any:
    """One pass that ends after `count` batches; None for all.

    Keras' own `validation_steps` runs each compiled call to its full length, past the number asked for.
    """
    import keras

    passed = feed.once()
    if count is None:
        return passed
    if not isinstance(passed, keras.utils.PyDataset):
        return passed.take(count)
    limit = min(count, len(passed))

    class First(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return limit

        def __getitem__(self, index: int) -> Any:
            return passed[index]

    return First()


def batches_of(feed: Feed) -> Iterator[Any]:
    """The batches of one pass."""
    import keras

    passed = feed.once()
    if isinstance(passed, keras.utils.PyDataset):
        return (passed[index] for index in range(len(passed)))
    return iter(passed)

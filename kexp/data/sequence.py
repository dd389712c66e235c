"""A finite pass over a NumPy feed in the form that Keras takes and may iterate again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kexp.data.feeds import Feed

__all__ = ["one_pass"]


def one_pass(feed: Feed) -> Any:
    """A `keras.utils.PyDataset` of the feed's batches in row order.

    Arrays would do for evaluate, but not a generator: as validation data it would be spent after the first epoch.
    """
    import keras

    class OnePass(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return feed.batches

        def __getitem__(self, step: int) -> tuple[Any, ...]:
            return feed.batch(feed.rows(step, in_order=True))

    return OnePass()

"""A feed as a tf.data.Dataset. Only this file needs TensorFlow to feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kexp.data.splitting.parts import Part

__all__ = ["dataset"]

ENDLESS = 2**62
BLOCK_ROWS, BLOCK_BYTES = 1024, 16 * 2**20


class Batches(Protocol):
    """What a `Feed` has for this file."""

    part: Part
    batch_size: int
    batches: int
    in_memory: bool

    def between(self, number: int, start: int, stop: int, *, in_order: bool = False) -> NDArray[np.intp]: ...

    def batch(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], ...]: ...


def dataset(feed: Batches, first: int, last: int | None, *, in_order: bool) -> Any:
    """Return a tf.data.Dataset of the batches of a range of steps, in the order of `Feed.rows`.

    Rows in memory are gathered inside TensorFlow. Other rows are read by Python a few batches ahead, in a fixed order.

    Args:
        feed: the batches.
        first: the first step.
        last: the end of the range, exclusive; None for endless.
        in_order: whether to take rows in order instead of shuffled.
    """
    import tensorflow as tf

    with tf.device("CPU:0"):  # batches are cut on the host, whatever device the model runs on
        made = (_gathered if feed.in_memory else _read)(tf, feed, first, last, in_order)
        made = made.prefetch(tf.data.AUTOTUNE)
        if last is not None:
            made = made.apply(tf.data.experimental.assert_cardinality(last - first))
        options = tf.data.Options()
        options.deterministic = True
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return made.with_options(options)


def _gathered(tf: Any, feed: Batches, first: int, last: int | None, in_order: bool) -> Any:
    """Cut the order of a whole pass into batches inside TensorFlow, which calls Python once a pass, not once a step."""
    held = [tf.constant(array) for array in feed.batch(np.arange(len(feed.part), dtype=np.intp))]
    if in_order and (first, last) == (0, feed.batches):
        # Evaluation starts a new pass each epoch, which takes a quarter of the time without a call of Python.
        return _cut(tf, held, feed.batch_size)

    def order_of(number: Any) -> Any:
        return feed.between(int(number), 0, len(feed.part), in_order=in_order).astype(np.int64, copy=False)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def batches(number: Any) -> Any:
        rows = tf.numpy_function(order_of, [number], tf.int64, stateful=False)
        rows.set_shape([len(feed.part)])
        return _cut(tf, [rows], feed.batch_size)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def gather(rows: Any) -> Any:
        return tuple(tf.gather(array, rows) for array in held)

    passes = tf.data.Dataset.range(first // feed.batches, ENDLESS)
    rows = passes.flat_map(batches).skip(first % feed.batches)
    return (rows if last is None else rows.take(last - first)).map(gather)


def _read(tf: Any, feed: Batches, first: int, last: int | None, in_order: bool) -> Any:
    """Read the rows of several steps at once, ahead of use: a call takes about as long for 1,000 rows as for 10."""
    probe = feed.batch(np.zeros(1, dtype=np.intp))
    types = [tf.as_dtype(array.dtype) for array in probe]
    steps = block_steps(feed, sum(array.nbytes for array in probe))
    blocks = -(-feed.batches // steps)  # blocks of a pass; no block spans two passes

    def read(block: Any) -> Any:
        begin = int(block) % blocks * steps * feed.batch_size
        rows = feed.between(int(block) // blocks, begin, begin + steps * feed.batch_size, in_order=in_order)
        return list(feed.batch(rows))

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def rows_of(block: Any) -> Any:
        arrays = tf.numpy_function(read, [block], types, stateful=False)
        for array, like in zip(arrays, probe, strict=True):
            array.set_shape([None, *like.shape[1:]])
        return tuple(arrays)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def batches(*arrays: Any) -> Any:
        return _cut(tf, arrays, feed.batch_size)

    number, within = divmod(first, feed.batches)
    block = number * blocks + within // steps
    read_ahead = tf.data.Dataset.range(block, ENDLESS).map(rows_of, num_parallel_calls=2, deterministic=True)
    made = read_ahead.flat_map(batches).skip(within % steps)
    return made if last is None else made.take(last - first)


def _cut(tf: Any, arrays: Sequence[Any], batch_size: int) -> Any:
    """Cut arrays of equal length into batches, each by one slice: `from_tensor_slices` would slice every row."""

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def batch(number: Any) -> Any:
        start = number * batch_size
        return tuple(array[start : start + batch_size] for array in arrays)

    rows = tf.shape(arrays[0], out_type=tf.int64)[0]
    return tf.data.Dataset.range(-(-rows // batch_size)).map(batch)


def block_steps(feed: Batches, row_bytes: int) -> int:
    """Return how many steps to read at once: about 1,000 rows, or fewer if rows are large."""
    rows = min(BLOCK_ROWS, BLOCK_BYTES // max(1, row_bytes))
    return max(1, min(rows // feed.batch_size, feed.batches))

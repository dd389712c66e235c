"""Data that does not fit on the device: read by row a block of steps at a time, for all lanes at once, the next ahead.

A block is a table of the rows that its steps take, each once, whatever lanes take it. A step finds its rows in there as
it finds them in the table of the whole data, and everything else about it is the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kexp.experiment import Prepared
    from kexp.fused.functional.lane_functions import LaneFunctions

__all__ = ["BlockExecutor", "Blocks", "data_bytes"]

_BYTES = 64 * 2**20
_LEAST, _MOST = 3, 64  # steps: a loop of one step is compiled otherwise, and rounds otherwise, than one of several


def data_bytes(prepared: Prepared) -> int:
    """What all rows' features take."""
    spec = prepared.splits.spec
    return len(prepared.splits.data) * _row_bytes(spec)


class Blocks:
    """Rows of one data set, as tables of a fixed size.

    Args:
        prepared: any of the trials that read it.
        width: lanes of the program.
        room: bytes that a block may take.
        place: puts a table on the device.
    """

    def __init__(self, prepared: Prepared, width: int, room: int, place: Callable[[Any], Any]) -> None:
        self.part, self.place = prepared.splits.train, place
        self.batch_size = prepared.batch_size
        self.weighted = prepared.experiment.trainer.class_weight is not None
        step = width * self.batch_size
        self.steps = max(_LEAST, min(_MOST, min(_BYTES, room) // (step * _row_bytes(self.part.spec))))
        self.rows = step * (self.steps + 1)  # the last block of a pass has the rest of the rows too
        self.blank = self._table(self._read_rows([0]))

    def cuts(self, count: int) -> list[int]:
        """How many of a pass' rows are in each block: as even as can be in whole steps, the rest in the last."""
        steps, rest = divmod(count, self.batch_size)
        blocks = max(1, -(-steps // self.steps))
        each = [(steps + position) // blocks * self.batch_size for position in reversed(range(blocks))]
        each[-1] += rest
        return each

    def of(self, rows: Any) -> Iterator[tuple[bool, Any, Any]]:
        """The blocks of a pass.

        Args:
            rows: row numbers of each lane in the pass' order, shape (width, rows).

        Yields:
            For each block whether it is the last, where its steps' rows are in its table, shape (width, rows of the
            block), and the table.
        """
        import numpy as np

        ends = np.cumsum(self.cuts(rows.shape[1]))
        with ThreadPoolExecutor(1, thread_name_prefix="kexp-fused-read") as reader:
            ahead = reader.submit(self._read, rows[:, : ends[0]])
            for start, end in itertools.pairwise(ends):
                block, ahead = ahead, reader.submit(self._read, rows[:, start:end])
                yield False, *block.result()
            yield True, *ahead.result()

    def _read(self, rows: Any) -> tuple[Any, Any]:
        import numpy as np

        known, places = np.unique(rows, return_inverse=True)
        return places.reshape(rows.shape).astype(np.int32), self._table(self._read_rows(known))

    def _read_rows(self, rows: Any) -> tuple[Any, ...]:
        import numpy as np

        from kexp.data.splitting.parts import encode_targets

        rows, part = np.asarray(rows, np.intp), self.part
        x, y = part.data.source.read(rows)
        labels = part.data.targets[rows].astype(np.int32) if self.weighted else None
        counts = None if part.data.weights is None else part.data.weights[rows]
        return x, encode_targets(y, part.targets, part.spec), labels, counts

    def _table(self, arrays: tuple[Any, ...]) -> Any:
        """On the device, filled up to the size that programs are compiled for."""
        import numpy as np

        def filled(array: Any) -> Any:
            if array is None:
                return None
            whole = np.zeros((self.rows, *array.shape[1:]), array.dtype)
            whole[: len(array)] = array
            return whole

        return self.place(tuple(map(filled, arrays)))


class BlockExecutor:
    """Trains and evaluates lanes block by block.

    Args:
        lane: the pure functions.
        lowered: lowers a function of one lane for all lanes of the program.
        state: shapes and types of the lanes' state.
        reset: the lanes' metrics variables before a pass.
        numbers: the same of their slots.
        weights: the same of their class weights, or None.
        rows: how many rows an epoch trains on, a validation reads and a test reads; 0 for none.
        blocks: the data.
    """

    def __init__(
        self,
        lane: LaneFunctions,
        lowered: Any,
        state: Any,
        reset: Any,
        numbers: Any,
        weights: Any,
        rows: tuple[int, int, int],
        blocks: Blocks,
    ) -> None:
        import jax
        import numpy as np

        self.blocks, self._reset = blocks, reset
        width = numbers[0].shape[0]

        def taken(count: int) -> Any:
            return jax.ShapeDtypeStruct((width, count), np.int32)

        def trained(count: int, last: bool) -> Any:
            step, given = lane.epoch if last else lane.block, (*numbers, weights, taken(count), blocks.blank)
            return lowered(step, state, reset, *given, shared=1, donate=0).compile()

        def evaluated(count: int, last: bool) -> Any:
            step, given = lane.evaluate if last else lane.evaluate_block, (taken(count), blocks.blank)
            return lowered(step, state, reset, *numbers, *given, shared=1).compile()

        self._train = {cut: trained(*cut) for cut in _kinds(blocks, rows[:1])}
        self._evaluate = {cut: evaluated(*cut) for cut in _kinds(blocks, rows[1:])}

    @property
    def programs(self) -> list[Any]:
        """The compiled programs."""
        return [*self._train.values(), *self._evaluate.values()]

    def train(self, state: Any, floats: Any, ints: Any, weights: Any, rows: Any) -> tuple[Any, Any]:
        """One epoch; arguments and results as of `Program.train`."""
        import jax

        metrics = self._reset
        for last, places, table in self.blocks.of(rows):
            run = self._train[places.shape[1], last]
            state, metrics = run(state, metrics, floats, ints, weights, places, table)
            jax.block_until_ready(metrics)  # else blocks would be read faster than they are trained on, and pile up
        return state, metrics

    def evaluate(self, state: Any, floats: Any, ints: Any, rows: Any) -> tuple[Any, Any]:
        """The metrics over some rows; arguments and results as of `Program.evaluate`."""
        import jax

        metrics = self._reset
        for last, places, table in self.blocks.of(rows):
            run = self._evaluate[places.shape[1], last]
            state, metrics = run(state, metrics, floats, ints, places, table)
            jax.block_until_ready(metrics)
        return state, metrics


def _kinds(blocks: Blocks, rows: Sequence[int]) -> set[tuple[int, bool]]:
    """The blocks of passes over so many rows: how many are in each, and whether it is the last."""
    found = set()
    for count in filter(None, rows):
        *others, last = blocks.cuts(count)
        found |= {(last, True), *((each, False) for each in others)}
    return found


def _row_bytes(spec: Any) -> int:
    import numpy as np

    return int(math.prod(spec.feature_shape) * np.dtype(spec.feature_dtype).itemsize)

"""Data that does not fit on the device: read in blocks of a few steps, for all lanes at once, one block ahead.

A block is a table of the rows that its steps take; a row that several lanes take is in it once. Steps take their rows
from this table as they do from the table of the whole data, and are the same in every other respect.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kexp.fused.program.memory import peak_bytes

if TYPE_CHECKING:
    from kexp.experiment import Prepared
    from kexp.fused.functional.lane_functions import LaneFunctions
    from kexp.fused.program.arguments import Arguments

__all__ = ["BlockExecutor", "Blocks", "data_bytes"]

_BLOCK_BYTES = 64 * 2**20
# Steps of a block. XLA compiles a loop of one step differently than a longer one, and it then rounds differently.
_MIN_STEPS, _MAX_STEPS = 3, 64


def data_bytes(prepared: Prepared) -> int:
    """Returns the memory of the features of all rows."""
    return len(prepared.splits.data) * _row_bytes(prepared.splits.spec)


class Blocks:
    """The rows of one data set, as tables of a fixed size.

    Args:
        prepared: one of the trials that read it.
        width: number of lanes of the program.
        room: the most memory of a block, bytes.
        place: copies a table to the device.

    Attributes:
        steps: steps of a block.
        rows: rows of a table.
        blank: a table, for the shapes of its arrays.
    """

    def __init__(self, prepared: Prepared, width: int, room: int, place: Callable[[Any], Any]) -> None:
        self.part, self.place = prepared.splits.train, place
        self.batch_size = prepared.batch_size
        self._has_class_weights = prepared.experiment.trainer.class_weight is not None
        step_rows = width * self.batch_size
        fitting = min(_BLOCK_BYTES, room) // (step_rows * _row_bytes(self.part.spec))
        self.steps = max(_MIN_STEPS, min(_MAX_STEPS, fitting))
        self.rows = step_rows * (self.steps + 1)  # the last block of a pass contains the incomplete batch too
        self.blank = self._table(self._read_rows([0]))

    def cuts(self, count: int) -> list[int]:
        """Splits a pass over `count` rows into blocks of nearly equal numbers of steps.

        Returns:
            Rows of each block. The last one includes the incomplete batch.
        """
        steps, rest = divmod(count, self.batch_size)
        blocks = max(1, -(-steps // self.steps))
        sizes = [(steps + index) // blocks * self.batch_size for index in reversed(range(blocks))]
        sizes[-1] += rest
        return sizes

    def read(self, rows: Any) -> Iterator[tuple[bool, Any, Any]]:
        """Reads the blocks of a pass; a thread reads the next block while the caller uses one.

        Args:
            rows: row numbers of each lane in the order of the pass, shape (width, rows).

        Yields:
            For each block: whether it is the last, the places of its steps' rows in its table, shape (width, rows of
            the block), and the table.
        """
        import numpy as np

        ends = np.cumsum(self.cuts(rows.shape[1]))
        with ThreadPoolExecutor(1, thread_name_prefix="kexp-fused-read") as reader:
            ahead = reader.submit(self._read_block, rows[:, : ends[0]])
            for start, end in itertools.pairwise(ends):
                block, ahead = ahead, reader.submit(self._read_block, rows[:, start:end])
                yield False, *block.result()
            yield True, *ahead.result()

    def _read_block(self, rows: Any) -> tuple[Any, Any]:
        import numpy as np

        distinct, places = np.unique(rows, return_inverse=True)
        return places.reshape(rows.shape).astype(np.int32), self._table(self._read_rows(distinct))

    def _read_rows(self, rows: Any) -> tuple[Any, ...]:
        """Returns the fields of a `Table` with these rows, as NumPy arrays."""
        import numpy as np

        from kexp.data.splitting.parts import encode_targets

        rows, part = np.asarray(rows, np.intp), self.part
        x, y = part.data.source.read(rows)
        labels = part.data.targets[rows].astype(np.int32) if self._has_class_weights else None
        sample_weights = None if part.data.weights is None else part.data.weights[rows]
        return x, encode_targets(y, part.targets, part.spec), labels, sample_weights

    def _table(self, arrays: tuple[Any, ...]) -> Any:
        """Fills arrays with zeros up to the size for which programs are compiled, and copies them to the device."""
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
        functions: the pure functions of a lane.
        arguments: the shapes of their arguments.
        rows: how many rows an epoch trains on, a validation evaluates and a test evaluates; 0 for none.
        blocks: the data.
    """

    name = "scan in blocks"

    def __init__(
        self, functions: LaneFunctions, arguments: Arguments, rows: tuple[int, int, int], blocks: Blocks
    ) -> None:
        self._blocks, self._metrics = blocks, arguments.metrics
        self._training: dict[tuple[int, bool], Any] = {}
        for count, is_last in _cuts(blocks, rows[:1]):
            train = functions.train_epoch if is_last else functions.train_block
            self._training[count, is_last] = arguments.lower_training(train, count, blocks.blank).compile()
        self._evaluations: dict[tuple[int, bool], Any] = {}
        for count, is_last in _cuts(blocks, rows[1:]):
            evaluate = functions.evaluate if is_last else functions.eval_block
            self._evaluations[count, is_last] = arguments.lower_evaluation(evaluate, count, blocks.blank).compile()

    def train(self, state: Any, floats: Any, ints: Any, class_weights: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Runs an epoch; see `Program.train`."""
        return self._run(self._training, state, (floats, ints, class_weights), rows)

    def evaluate(self, state: Any, floats: Any, ints: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Runs an evaluation; see `Program.evaluate`."""
        return self._run(self._evaluations, state, (floats, ints), rows)

    def _run(
        self, programs: Mapping[tuple[int, bool], Any], state: Any, inputs: tuple[Any, ...], rows: Any
    ) -> tuple[Any, Any]:
        """Runs the program of each block of a pass; returns the result of the last one."""
        import jax

        metrics = self._metrics
        for is_last, places, table in self._blocks.read(rows):
            state, metrics = programs[places.shape[1], is_last](state, metrics, *inputs, places, table)
            jax.block_until_ready(metrics)  # so that blocks are not read faster than they are used
        return state, metrics

    def peak_bytes(self, state_bytes: int) -> int:
        """Returns the most memory that a call takes; see `Executor.peak_bytes`."""
        return peak_bytes([*self._training.values(), *self._evaluations.values()])


def _cuts(blocks: Blocks, rows: Sequence[int]) -> set[tuple[int, bool]]:
    """Returns the distinct blocks of passes over so many rows: (rows of the block, whether it is the last)."""
    found = set()
    for count in filter(None, rows):
        *others, last = blocks.cuts(count)
        found |= {(last, True), *((each, False) for each in others)}
    return found


def _row_bytes(spec: Any) -> int:
    import numpy as np

    return int(math.prod(spec.feature_shape) * np.dtype(spec.feature_dtype).itemsize)

"""The lane functions compiled for a fixed number of lanes.

The width is part of the result's bits, and nothing else around a lane is: lanes without a trial compute on whatever is
in their place, and nobody reads it. So one trial alone gives the bits that it gives among any neighbours.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from kexp.fused.functional.lowering import device_count, lower_lanes, put_on_devices
from kexp.fused.inputs.symbols import FLOATS, INTS, ProgramInputs
from kexp.fused.program.blocks import BlockExecutor, Blocks
from kexp.fused.program.executables import Executables, compiled, executables_file, keep, read
from kexp.fused.program.lane_slices import LaneSlices
from kexp.fused.program.lane_starts import LaneStarts
from kexp.fused.program.memory import peak_bytes
from kexp.fused.program.step_loop import LONG_STEP_S, StepLoop, best_time_s, read_choice, write_choice
from kexp.fused.shared import TRACING_LOCK
from kexp.fused.structure.grouping import structure_key
from kexp.fused.structure.structure import Structure
from kexp.training.process.compiled_programs import use_compilation_cache

__all__ = ["Program"]


class Program:
    """Compiled functions of one structure.

    Args:
        structure: what the lanes share.
        width: number of lanes.
        data: on the device: the fields of a `pure.Table`; or its blocks, where it does not fit there.
        rows: how many rows an epoch trains on, a validation reads and a test reads; 0 for none.
        weighted: whether class weights are given.
        first_batch: a batch of training rows, to build models on.
    """

    def __init__(
        self, structure: Structure, width: int, data: Any, rows: tuple[int, int, int], weighted: bool, first_batch: Any
    ) -> None:
        import numpy as np

        self.structure, self.width, self.rows, self.weighted = structure, width, rows, weighted
        self.blocks = data if isinstance(data, Blocks) else None
        self.table = data.blank if isinstance(data, Blocks) else put_on_devices(data, width)
        self.first_batch = first_batch
        self.starts = LaneStarts(structure, first_batch)
        self.lane = structure.lane
        self.slots = self.lane.slots
        self.classes = structure.blueprint.prepared.splits.spec.outputs
        self._reset = put_on_devices(
            [np.stack([each] * width) for each in structure.blueprint.metrics], width, split=True
        )
        self.slices = LaneSlices([(v.shape, str(v._dtype)) for v in structure.blueprint.variables], width)
        self._compile()

    def _compile(self) -> None:
        import jax
        import jax.numpy as jnp

        lane, width = self.lane, self.width

        def shaped(shape: tuple[int, ...], dtype: Any) -> Any:
            return jax.ShapeDtypeStruct((width, *shape), dtype)

        state = [shaped(variable.shape, str(variable._dtype)) for variable in self.structure.blueprint.variables]
        numbers = (shaped((FLOATS,), jnp.float32), shaped((INTS,), jnp.int32))
        weights = shaped((self.classes,), jnp.float32) if self.weighted else None
        given = [state[place] for place in self.starts.places]

        def lowered(function: Callable[..., Any], *arguments: Any, shared: int = 0, donate: Any = ()) -> Any:
            return lower_lanes(function, width, arguments, shared=shared, donate=donate)

        self._loop: StepLoop | None = None
        self._blocks: BlockExecutor | None = None
        self._files: list[str | None] = []  # where the programs are kept, in the order in which they were compiled
        of_all = () if self.blocks is not None else (self.width, self.rows, self.weighted, self.classes)
        file = executables_file(self.structure, self.starts, of_all) if of_all else None
        kept = read(file)
        if kept is not None and ProgramInputs(self.slots.values, kept.slots).agree(self.slots.values):
            self.start, self._train, self._evaluate = kept.start, kept.train, kept.evaluate
            lane.train_names[:], lane.eval_names[:] = kept.train_names, kept.eval_names
            self.slots.expressions, self.slots.branches = kept.slots
        else:
            with TRACING_LOCK:
                self.start = self._compiled(lowered(self.starts.start, state, shaped((), bool), given, donate=0), 1)
                if self.blocks is not None:
                    self._blocks = BlockExecutor(
                        lane, lowered, state, self._reset, numbers, weights, self.rows, self.blocks
                    )
                else:
                    self._compile_whole(lowered, state, numbers, weights)
            if self._loop is None and self.blocks is None:
                evaluate, names = self._evaluate, (lane.train_names, lane.eval_names)
                keep(file, Executables(self.start, self._train, evaluate, *names, self.slots.found), self._files)
        self.train_names = list(lane.train_names)
        self.eval_names = list(lane.eval_names)

    def _compiled(self, lowered: Any, level: int | None = None) -> Any:
        program, file = compiled(lowered, level)
        self._files.append(file)
        return program

    def _compile_whole(self, lowered: Callable[..., Any], state: Any, numbers: Any, weights: Any) -> None:
        """Epochs and evaluations over a table of all data."""
        import jax
        import numpy as np

        lane, width = self.lane, self.width
        train, *others = (jax.ShapeDtypeStruct((width, count), np.int32) for count in self.rows)
        epoch = lowered(lane.epoch, state, self._reset, *numbers, weights, train, self.table, shared=1, donate=0)
        alone = jax.default_backend() == "cpu" and device_count(width) == 1
        if alone and "stablehlo.convolution" in epoch.as_text():
            self._loop = self._chosen_loop(lowered, state, numbers, weights)
        if self._loop is None:
            self._train = self._compiled(epoch)
            self._evaluate = {}
            for rows in others:
                count = rows.shape[1]
                if count and count not in self._evaluate:
                    evaluation = lowered(lane.evaluate, state, self._reset, *numbers, rows, self.table, shared=1)
                    seldom = count != self.rows[1]  # a test is once a trial
                    self._evaluate[count] = self._compiled(evaluation, 1 if seldom else None)

    def _chosen_loop(self, lowered: Callable[..., Any], state: Any, numbers: Any, weights: Any) -> StepLoop | None:
        """The loop over single steps, if it is the faster way to run a few; else None."""
        import jax
        import jax.numpy as jnp
        import numpy as np

        def one(shaped: Any) -> Any:
            return jax.ShapeDtypeStruct(shaped.shape[1:], shaped.dtype)

        lane, size, folder = self.lane, self.lane.batch_size, use_compilation_cache()
        loop = StepLoop(
            lane,
            [one(each) for each in state],
            tuple(one(each) for each in numbers),
            None if weights is None else one(weights),
            self.table,
        )
        key = hashlib.sha256(structure_key(self.structure.blueprint.prepared).encode()).hexdigest() + f"-{self.width}"
        choice = read_choice(folder, key)
        if choice is None:
            rows = np.zeros((self.width, min(2 * size, self.rows[0])), np.int32)
            floats, ints = self.slots.fill([self.slots.values] * self.width)
            table_weights = None if weights is None else np.ones(weights.shape, np.float32)
            blank, busy = self.blank(), [True] * self.width
            looped_s = best_time_s(lambda: loop.train(blank, floats, ints, table_weights, rows, busy))
            choice = "loop"
            if looped_s < LONG_STEP_S * self.width * math.ceil(rows.shape[1] / size):
                shape = jax.ShapeDtypeStruct(rows.shape, jnp.int32)
                scan = lowered(lane.epoch, state, self._reset, *numbers, weights, shape, self.table, shared=1).compile()
                scanned_s = best_time_s(lambda: scan(blank, self._reset, floats, ints, table_weights, rows, self.table))
                choice = "loop" if looped_s < scanned_s else "scan"
            write_choice(folder, key, choice)
        if choice == "scan":
            return None
        loop.prepare({("train", size), ("train", self.rows[0] % size), *_evaluated(self.rows, size)} - {("train", 0)})
        return loop

    def train(self, state: Any, floats: Any, ints: Any, weights: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """One epoch of the lanes.

        Args:
            state: the lanes' variables; given away.
            floats: their slots.
            ints: their whole-numbered slots.
            weights: their class weights, or None.
            rows: rows of the table in this epoch's order, shape (width, rows).
            active: which lanes have a trial.

        Returns:
            The new state, and the metrics by `train_names`, shape (width, metrics).
        """
        if self._blocks is not None:
            return self._blocks.train(state, floats, ints, weights, rows)
        if self._loop is not None:
            return self._loop.train(state, floats, ints, weights, rows, active)
        result: tuple[Any, Any] = self._train(state, self._reset, floats, ints, weights, rows, self.table)
        return result

    def evaluate(self, state: Any, floats: Any, ints: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """An evaluation over some rows; arguments as of `train`, but that the state is kept.

        Returns:
            What is fixed of the state, as it is afterwards, and the metrics by `eval_names`, shape (width, metrics).
        """
        if self._blocks is not None:
            return self._blocks.evaluate(state, floats, ints, rows)
        if self._loop is not None:
            return self._loop.evaluate(state, floats, ints, rows, active)
        result: tuple[Any, Any] = self._evaluate[rows.shape[1]](state, self._reset, floats, ints, rows, self.table)
        return result

    @property
    def executor(self) -> str:
        """How steps are run; with the width part of what decides the last bits."""
        if self._loop is not None:
            return "loop"
        how, count = "scan" if self._blocks is None else "scan in blocks", device_count(self.width)
        return how if count == 1 else f"{how} on {count} devices"

    @property
    def size_bytes(self) -> int:
        """Memory that a worker takes on each device, the data apart, as far as the compiler can tell."""
        import jax

        state = self.width * sum(
            math.prod(variable.shape) * _item_bytes(variable) for variable in self.structure.blueprint.variables
        )
        if self._loop is not None:  # old states and new ones, and the one lane that is at work
            working = 2 * state + peak_bytes(self._loop.steps)
        elif self._blocks is not None:
            working = peak_bytes(self._blocks.programs)
        else:
            working = peak_bytes([self._train, *self._evaluate.values()])
        table = sum(int(each.nbytes) for each in jax.tree.leaves(self.table))
        peak: int = max(peak_bytes([self.start]), working - table)
        # On a CPU, states that wait for their test, and are stacked for it, are in the same memory.
        return peak + 2 * state // device_count(self.width) if jax.default_backend() == "cpu" else peak

    def blank_given(self) -> list[Any]:
        """Room for what the starts of all lanes are given."""
        return self._blank(self.starts.places)

    @cached_property
    def weight_places(self) -> list[int]:
        """Positions in the state of the model's weights, in the order of `model.get_weights()`."""
        blueprint = self.structure.blueprint
        places = {id(variable): i for i, variable in enumerate(blueprint.variables)}
        return [places[id(variable)] for variable in blueprint.model.weights]

    def finalized(self, state: list[Any]) -> list[Any]:
        """What `fit` makes of the variables at its end: averaged weights, where the optimizer averages."""
        optimizer, model = self.structure.blueprint.model.optimizer, self.structure.blueprint.model
        if not getattr(optimizer, "use_ema", False):
            return state
        import keras
        import numpy as np

        variables = self.structure.blueprint.variables
        with (
            TRACING_LOCK,
            keras.StatelessScope(state_mapping=list(zip(variables, map(_array, state), strict=True))) as scope,
        ):
            optimizer.finalize_variable_values(model.trainable_variables)
            return [np.array(scope.get_current_value(variable)) for variable in variables]

    def blank(self) -> list[Any]:
        """A state with no trial in any lane."""
        return self._blank(range(len(self.structure.blueprint.variables)))

    def _blank(self, places: Iterable[int]) -> list[Any]:
        import numpy as np

        variables = [self.structure.blueprint.variables[place] for place in places]
        return [np.zeros((self.width, *variable.shape), str(variable._dtype)) for variable in variables]


def _evaluated(rows: tuple[int, int, int], size: int) -> set[tuple[str, int]]:
    """Batch sizes of the evaluations."""
    found = {("eval", min(size, count)) for count in rows[1:]} | {("eval", count % size) for count in rows[1:]}
    return found - {("eval", 0)}


def _item_bytes(variable: Any) -> int:
    import jax.numpy as jnp

    return int(jnp.dtype(str(variable._dtype)).itemsize)


def _array(value: Any) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(value)

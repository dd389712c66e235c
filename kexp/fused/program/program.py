"""The functions of a structure, compiled for a fixed number of lanes.

The last bits of a lane's result depend on the width, and on nothing else around the lane. Lanes without a trial compute
with whatever is in their slots, and nobody reads the result. So a single trial gives the same bits as among any others.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from kexp.fused.functional.lowering import device_count, put_on_devices
from kexp.fused.inputs.symbols import ProgramInputs
from kexp.fused.program.arguments import arguments_of
from kexp.fused.program.blocks import BlockExecutor, Blocks
from kexp.fused.program.executables import Executables, compile_or_load, executables_file, load, save
from kexp.fused.program.executor import Executor, ScanExecutor
from kexp.fused.program.executor_choice import is_loop_faster
from kexp.fused.program.lane_slices import LaneSlices
from kexp.fused.program.lane_starts import LaneStarts
from kexp.fused.program.memory import peak_bytes
from kexp.fused.program.step_loop import StepLoop
from kexp.fused.shared import TRACING_LOCK
from kexp.fused.structure.grouping import structure_key
from kexp.fused.structure.structure import Structure
from kexp.training.process.compiled_programs import use_compilation_cache

__all__ = ["Program"]


class Program:
    """The compiled functions of a structure.

    Args:
        structure: the structure that the lanes share.
        width: number of lanes.
        data: the fields of a `Table`, on the device; `Blocks` if the data does not fit there.
        rows: how many rows an epoch trains on, a validation evaluates and a test evaluates; 0 for none.
        has_class_weights: whether class weights are given.
        first_batch: a batch of training rows, on which models are built.

    Attributes:
        start: compiled: (state, which lanes are fresh, their first values) -> state; see `LaneStarts.start`.
        train_names: the names of the metrics of an epoch.
        eval_names: the names of the metrics of an evaluation.
    """

    def __init__(
        self,
        structure: Structure,
        width: int,
        data: Any,
        rows: tuple[int, int, int],
        has_class_weights: bool,
        first_batch: Any,
    ) -> None:
        self.structure, self.width, self.rows, self.first_batch = structure, width, rows, first_batch
        self.inputs = structure.functions.inputs
        self.classes = structure.blueprint.prepared.splits.spec.outputs
        self.has_class_weights = has_class_weights
        self.starts = LaneStarts(structure, first_batch)
        self._arguments = arguments_of(structure, width, self.classes if has_class_weights else None)
        self.slices = LaneSlices(self._arguments)
        self._table = data.blank if isinstance(data, Blocks) else put_on_devices(data, width)
        self.start, self._executor = self._compile(data if isinstance(data, Blocks) else None)
        self.train_names = list(structure.functions.train_names)
        self.eval_names = list(structure.functions.eval_names)

    def _compile(self, blocks: Blocks | None) -> tuple[Any, Executor]:
        """Compiles the program, or loads it from disk; returns `start` and the executor."""
        functions, inputs, arguments = self.structure.functions, self.inputs, self._arguments
        shape = (self.width, self.rows, self.has_class_weights, self.classes)
        file = None if blocks is not None else executables_file(self.structure, self.starts, shape)
        loaded = load(file)
        if loaded is not None and ProgramInputs(inputs.values, loaded.inputs).has_same_branches(inputs.values):
            functions.train_names[:], functions.eval_names[:] = loaded.train_names, loaded.eval_names
            inputs.expressions, inputs.branches = loaded.inputs
            return loaded.start, ScanExecutor(loaded.training, loaded.evaluations, arguments.metrics, self._table)
        with TRACING_LOCK:
            start, start_file = compile_or_load(arguments.lower_start(self.starts.start, self.starts.positions), 1)
            if blocks is not None:
                return start, BlockExecutor(functions, arguments, self.rows, blocks)
            training = arguments.lower_training(functions.train_epoch, self.rows[0], self._table)
            loop = self._faster_loop(training)
            if loop is not None:
                return start, loop
            executor, files = self._compile_scan(training)
        names = (functions.train_names, functions.eval_names)
        compiled = Executables(start, executor.training, executor.evaluations, *names, inputs.found)
        save(file, compiled, [start_file, *files])
        return start, executor

    def _compile_scan(self, training: Any) -> tuple[ScanExecutor, list[str | None]]:
        """Compiles an epoch, which is lowered already, and evaluations; returns the names of their files too."""
        functions, arguments = self.structure.functions, self._arguments
        compiled, file = compile_or_load(training)
        evaluations, files = {}, [file]
        _, validated, tested = self.rows
        for count in dict.fromkeys(filter(None, (validated, tested))):
            lowered = arguments.lower_evaluation(functions.evaluate, count, self._table)
            # A test runs once in a trial, so it is compiled with fewer optimizations.
            evaluations[count], file = compile_or_load(lowered, None if count == validated else 1)
            files.append(file)
        return ScanExecutor(compiled, evaluations, arguments.metrics, self._table), files

    def _faster_loop(self, training: Any) -> StepLoop | None:
        """Returns a loop over compiled steps if it is faster than the lowered epoch, which has convolutions."""
        import jax

        if jax.default_backend() != "cpu" or device_count(self.width) > 1:
            return None
        if "stablehlo.convolution" not in training.as_text():
            return None
        functions, arguments = self.structure.functions, self._arguments
        key = hashlib.sha256(structure_key(self.structure.blueprint.prepared).encode()).hexdigest() + f"-{self.width}"
        loop = StepLoop(functions, arguments, self._table)
        folder = use_compilation_cache()
        if not is_loop_faster(loop, functions, arguments, self.rows[0], self._table, folder=folder, key=key):
            return None
        loop.prepare(self.rows)
        return loop

    def train(self, state: Any, floats: Any, ints: Any, class_weights: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Runs an epoch of all lanes.

        Args:
            state: the lanes' variables; their memory is reused.
            floats: the lanes' float inputs, shape (width, inputs).
            ints: the lanes' integer inputs, shape (width, inputs).
            class_weights: the lanes' weights by class, shape (width, classes); None without class weights.
            rows: row numbers of the table in this epoch's order, shape (width, rows).
            active: whether a lane has a trial, for each lane.

        Returns:
            The new state, and the metrics by `train_names`, shape (width, metrics).
        """
        return self._executor.train(state, floats, ints, class_weights, rows, active)

    def evaluate(self, state: Any, floats: Any, ints: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Evaluates all lanes over some rows; arguments as of `train`, but `state` is left unchanged.

        Returns:
            The non-trainable variables after the evaluation, and the metrics by `eval_names`, shape (width, metrics).
        """
        return self._executor.evaluate(state, floats, ints, rows, active)

    @property
    def executor(self) -> str:
        """How steps are run. The last bits of a result depend on it, and on the width."""
        name, devices = self._executor.name, device_count(self.width)
        return name if devices == 1 else f"{name} on {devices} devices"

    @property
    def size_bytes(self) -> int:
        """The most memory that the program takes on each device, without the data, as far as the compiler knows."""
        import jax

        state = sum(math.prod(each.shape) * each.dtype.itemsize for each in self._arguments.state)
        table = sum(int(each.nbytes) for each in jax.tree.leaves(self._table))
        peak: int = max(peak_bytes([self.start]), self._executor.peak_bytes(state) - table)
        # On a CPU the states of lanes that wait for their test, and their copies in the test, are in the same memory.
        return peak + 2 * state // device_count(self.width) if jax.default_backend() == "cpu" else peak

    @cached_property
    def weight_positions(self) -> list[int]:
        """The positions in the state of the model's weights, in the order of `model.get_weights()`."""
        blueprint = self.structure.blueprint
        positions = {id(variable): position for position, variable in enumerate(blueprint.variables)}
        return [positions[id(variable)] for variable in blueprint.model.weights]

    def finalized(self, state: list[Any]) -> list[Any]:
        """Returns a lane's variables as `fit` leaves them: averaged weights if the optimizer averages."""
        blueprint = self.structure.blueprint
        optimizer, model = blueprint.model.optimizer, blueprint.model
        if not getattr(optimizer, "use_ema", False):
            return state
        import jax.numpy as jnp
        import keras
        import numpy as np

        mapping = list(zip(blueprint.variables, map(jnp.asarray, state), strict=True))
        with TRACING_LOCK, keras.StatelessScope(state_mapping=mapping) as scope:
            optimizer.finalize_variable_values(model.trainable_variables)
            return [np.array(scope.get_current_value(variable)) for variable in blueprint.variables]

    def blank(self) -> list[Any]:
        """Returns a state of zeros."""
        return self._zeros(range(len(self._arguments.state)))

    def blank_given(self) -> list[Any]:
        """Returns zeros for the first values that all lanes are given; see `LaneStarts.given`."""
        return self._zeros(self.starts.positions)

    def _zeros(self, positions: Iterable[int]) -> list[Any]:
        import numpy as np

        shapes = [self._arguments.state[position] for position in positions]
        return [np.zeros(each.shape, each.dtype) for each in shapes]

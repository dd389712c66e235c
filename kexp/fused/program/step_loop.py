"""The executor for models with long steps: a Python loop over lanes and compiled steps.

On a CPU, convolutions in a compiled loop and convolutions mapped over lanes are slow, because XLA uses its fast
routines for neither. In a step that is compiled by itself it does, and compared with such a step the Python loop takes
no time.
"""

from __future__ import annotations

from typing import Any

from kexp.fused.functional.lane_functions import LaneFunctions, Table
from kexp.fused.program.arguments import Arguments
from kexp.fused.program.memory import peak_bytes

__all__ = ["StepLoop"]


class StepLoop:
    """Trains and evaluates one lane after the other, step by step.

    Args:
        functions: the pure functions of a lane.
        arguments: the shapes of their arguments.
        table: the data on the device.
    """

    name = "loop"

    def __init__(self, functions: LaneFunctions, arguments: Arguments, table: Any) -> None:
        import jax

        def of_one_lane(shaped: Any) -> Any:
            return jax.ShapeDtypeStruct(shaped.shape[1:], shaped.dtype)

        self._functions, self._table = functions, table
        self._state = [of_one_lane(each) for each in arguments.state]
        self._numbers = [of_one_lane(each) for each in arguments.numbers]
        self._class_weights = None if arguments.class_weights is None else of_one_lane(arguments.class_weights)
        self._metrics = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in functions.blueprint.metrics]
        self._steps: dict[tuple[str, int], Any] = {}
        self._reset_metrics = jax.jit(functions.reset_metrics).lower().compile()
        self._train_results = self._compiled_results(functions.train_names)
        self._eval_results = self._compiled_results(functions.eval_names)

    def _compiled_results(self, names: list[str]) -> Any:
        import jax

        return jax.jit(lambda metrics: self._functions.metric_results(metrics, names)).lower(self._metrics).compile()

    def prepare(self, rows: tuple[int, int, int]) -> None:
        """Compiles the steps of epochs, validations and tests with so many rows; 0 for none."""
        size = self._functions.batch_size
        train, *evaluations = rows
        sizes = {("train", size), ("train", train % size)}
        for count in evaluations:
            sizes |= {("eval", min(size, count)), ("eval", count % size)}
        for kind, batch in sorted(sizes):
            if batch:
                self._step(kind, batch)

    def train(self, state: Any, floats: Any, ints: Any, class_weights: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Runs an epoch of the active lanes; see `Program.train`."""
        return self._run("train", state, floats, ints, class_weights, rows, active)

    def evaluate(self, state: Any, floats: Any, ints: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Runs an evaluation of the active lanes; see `Program.evaluate`."""
        return self._run("eval", state, floats, ints, None, rows, active)

    def _run(
        self, kind: str, state: Any, floats: Any, ints: Any, class_weights: Any, rows: Any, active: Any
    ) -> tuple[Any, Any]:
        import numpy as np

        is_training = kind == "train"
        results = self._train_results if is_training else self._eval_results
        returned = slice(None) if is_training else self._functions.blueprint.non_trainable
        states, measured = [], []
        for slot, is_active in enumerate(active):
            lane, metrics = [values[slot] for values in state], self._reset_metrics()
            weights = None if class_weights is None else class_weights[slot]
            for batch in self._batches(rows[slot]) if is_active else ():
                step = self._step(kind, len(batch))
                lane, metrics = step(lane, metrics, floats[slot], ints[slot], weights, batch, self._table)
            states.append(lane[returned])
            measured.append(np.asarray(results(metrics)))
        return [np.stack(values) for values in zip(*states, strict=True)], np.stack(measured)

    def peak_bytes(self, state_bytes: int) -> int:
        """Returns the most memory that a call takes: the old states, the new ones, and the step of one lane."""
        return 2 * state_bytes + peak_bytes(self._steps.values())

    def _batches(self, rows: Any) -> list[Any]:
        size = self._functions.batch_size
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def _step(self, kind: str, size: int) -> Any:
        """Returns the compiled step, "train" or "eval", for batches of this size; compiles it at the first call."""
        import jax
        import numpy as np

        if (kind, size) not in self._steps:
            functions = self._functions

            def step(state: Any, metrics: Any, floats: Any, ints: Any, weights: Any, rows: Any, table: Any) -> Any:
                batch = Table(*table).batch(rows, weights)
                with functions.bound_to(floats, ints):
                    if kind == "train":
                        return functions.train_step(list(state), list(metrics), batch)
                    return functions.eval_step(list(state), list(metrics), batch)

            weights = self._class_weights if kind == "train" else None
            rows = jax.ShapeDtypeStruct((size,), np.int32)
            arguments = (self._state, self._metrics, *self._numbers, weights, rows, self._table)
            self._steps[kind, size] = jax.jit(step).lower(*arguments).compile()
        return self._steps[kind, size]

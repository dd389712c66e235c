"""The executor for models whose steps are long: a Python loop over lanes and compiled steps.

Convolutions inside a compiled loop, and convolutions mapped over lanes, are slow on a CPU: XLA leaves its fast routines
for both. A step compiled by itself keeps them, and next to its milliseconds the loop around it costs nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kexp.fused.functional.lane_functions import LaneFunctions, Table

__all__ = ["LONG_STEP_S", "StepLoop", "best_time_s", "read_choice", "write_choice"]

CHOICES = "executors.json"
LONG_STEP_S = 10e-3  # beside it Python's part of a step is small, and a compiled loop may take a hundred times as long


class StepLoop:
    """Trains and evaluates lanes one after the other, step by step.

    Args:
        lane: the pure functions.
        state: shapes and types of one lane's state.
        numbers: shapes and types of one lane's slots.
        weights: the same of its class weights, or None.
        table: the data on the device.
    """

    def __init__(self, lane: LaneFunctions, state: Any, numbers: Any, weights: Any, table: Any) -> None:
        import jax

        self.lane, self.table = lane, table
        self._shapes = (state, numbers, weights)
        self._steps: dict[tuple[str, int], Any] = {}
        metrics = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in lane.blueprint.metrics]
        self._metrics = metrics
        self._reset = jax.jit(lane._reset).lower().compile()
        self._train_results = jax.jit(lambda m: lane._results(m, lane.train_names)).lower(metrics).compile()
        self._eval_results = jax.jit(lambda m: lane._results(m, lane.eval_names)).lower(metrics).compile()

    def prepare(self, sizes: set[tuple[str, int]]) -> None:
        """Compiles the steps for batches of these sizes: ("train" or "eval", rows)."""
        for kind, size in sorted(sizes):
            self._step(kind, size)

    @property
    def steps(self) -> list[Any]:
        """The compiled steps."""
        return list(self._steps.values())

    def train(self, state: Any, floats: Any, ints: Any, weights: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """One epoch of the active lanes; arguments and results as of `Program.train`."""
        import numpy as np

        made, measured = [], []
        for slot, busy in enumerate(active):
            mine = [values[slot] for values in state]
            metrics = self._reset()
            if busy:
                numbers = (floats[slot], ints[slot])
                for batch in self._batches(rows[slot]):
                    table_weights = None if weights is None else weights[slot]
                    mine, metrics = self._step("train", len(batch))(
                        mine, metrics, *numbers, table_weights, batch, self.table
                    )
            made.append(mine)
            measured.append(np.asarray(self._train_results(metrics)))
        return [np.stack(values) for values in zip(*made, strict=True)], np.stack(measured)

    def evaluate(self, state: Any, floats: Any, ints: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """The metrics of the active lanes; arguments and results as of `Program.evaluate`."""
        import numpy as np

        made, measured = [], []
        for slot, busy in enumerate(active):
            mine = [values[slot] for values in state]
            metrics = self._reset()
            for batch in self._batches(rows[slot]) if busy else ():
                step = self._step("eval", len(batch))
                mine, metrics = step(mine, metrics, floats[slot], ints[slot], None, batch, self.table)
            made.append(mine[slice(*self.lane.blueprint.parts)])
            measured.append(np.asarray(self._eval_results(metrics)))
        return [np.stack(values) for values in zip(*made, strict=True)], np.stack(measured)

    def _batches(self, rows: Any) -> list[Any]:
        size = self.lane.batch_size
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def _step(self, kind: str, size: int) -> Any:
        import jax
        import numpy as np

        if (kind, size) not in self._steps:
            lane = self.lane
            state, numbers, weights = self._shapes

            def step(state: Any, metrics: Any, floats: Any, ints: Any, weights: Any, rows: Any, table: Any) -> Any:
                batch = Table(*table).batch(rows, weights)
                with lane.numbers(floats, ints):
                    if kind == "train":
                        return lane.step(list(state), list(metrics), batch)
                    return lane.eval_step(list(state), list(metrics), batch)

            given = weights if kind == "train" else None
            rows = jax.ShapeDtypeStruct((size,), np.int32)
            lowered = jax.jit(step).lower(state, self._metrics, *numbers, given, rows, self.table)
            self._steps[kind, size] = lowered.compile()
        return self._steps[kind, size]


def best_time_s(call: Callable[[], Any], tries: int = 3) -> float:
    """Seconds that a call takes, once what it needs is compiled: the least of a few tries."""
    import jax

    best = float("inf")
    for _ in range(tries):
        started = time.perf_counter()
        jax.block_until_ready(call())
        best = min(best, time.perf_counter() - started)
    return best


def read_choice(folder: Path | None, key: str) -> str | None:
    """The executor that was measured to be the faster one for a structure on this machine before.

    The choice is part of the result's bits, so that it is made once.
    """
    try:
        return None if folder is None else json.loads((folder / CHOICES).read_text()).get(key)
    except (OSError, ValueError):
        return None


def write_choice(folder: Path | None, key: str, executor: str) -> None:
    """Keeps a choice."""
    if folder is None:
        return
    try:
        known = json.loads((folder / CHOICES).read_text())
    except (OSError, ValueError):
        known = {}
    from kexp.persistence.atomic import write_atomically

    write_atomically(folder / CHOICES, json.dumps({**known, key: executor}, indent=1).encode())

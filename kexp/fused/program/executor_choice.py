"""Chooses between the two executors for convolutions on a CPU by timing a few steps; the choice is kept on disk.

The last bits of a result depend on the executor, so a structure's choice is made once on a machine.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kexp.fused.functional.lane_functions import LaneFunctions
from kexp.fused.program.arguments import Arguments
from kexp.fused.program.step_loop import StepLoop

__all__ = ["is_loop_faster"]

_FILE = "executors.json"
# From this time on, the Python part of a step does not matter, and a step in a compiled loop may take a hundred times
# as long: the loop is chosen without trying the other.
_LONG_STEP_S = 10e-3
_LOOP, _SCAN = "loop", "scan"


def is_loop_faster(
    loop: StepLoop,
    functions: LaneFunctions,
    arguments: Arguments,
    rows: int,
    table: Any,
    *,
    folder: Path | None,
    key: str,
) -> bool:
    """Returns whether a loop over compiled steps is faster than a compiled loop, by the times of two steps.

    Args:
        loop: the loop over compiled steps.
        functions: the pure functions of a lane.
        arguments: the shapes of their arguments.
        rows: rows of an epoch.
        table: the data on the device.
        folder: the folder with the choices of earlier processes; None for none.
        key: identifies the structure and the width.
    """
    choice = _read(folder).get(key)
    if choice is None:
        choice = _measured(loop, functions, arguments, rows, table)
        _write(folder, key, choice)
    return bool(choice == _LOOP)


def _measured(loop: StepLoop, functions: LaneFunctions, arguments: Arguments, rows: int, table: Any) -> str:
    import numpy as np

    width, size, inputs = arguments.width, functions.batch_size, functions.inputs
    taken = np.zeros((width, min(2 * size, rows)), np.int32)
    state = [np.zeros(each.shape, each.dtype) for each in arguments.state]
    floats, ints = inputs.arrays([inputs.values] * width)
    weights = None if arguments.class_weights is None else np.ones(arguments.class_weights.shape, np.float32)
    loop_s = _best_s(lambda: loop.train(state, floats, ints, weights, taken, [True] * width))
    if loop_s >= _LONG_STEP_S * width * math.ceil(taken.shape[1] / size):
        return _LOOP
    scan = arguments.lower_training(functions.train_epoch, taken.shape[1], table, donate=()).compile()
    scan_s = _best_s(lambda: scan(state, arguments.metrics, floats, ints, weights, taken, table))
    return _LOOP if loop_s < scan_s else _SCAN


def _best_s(call: Callable[[], Any]) -> float:
    """Returns the least of the times that three calls take, in seconds. The first call may compile."""
    import jax

    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        jax.block_until_ready(call())
        best = min(best, time.perf_counter() - started)
    return best


def _read(folder: Path | None) -> dict[str, str]:
    """Returns the choices of earlier processes; empty if there is no file that can be read."""
    try:
        return {} if folder is None else dict(json.loads((folder / _FILE).read_text()))
    except (OSError, ValueError):
        return {}


def _write(folder: Path | None, key: str, choice: str) -> None:
    from kexp.persistence.atomic import write_atomically

    if folder is not None:
        write_atomically(folder / _FILE, json.dumps({**_read(folder), key: choice}, indent=1).encode())

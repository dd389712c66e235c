"""The results of lanes that have ended. Their tests run together, as many at once as the program has lanes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kexp.experiment import TrainedState
from kexp.fused.lanes.running_trial import RunningTrial
from kexp.fused.program.program import Program
from kexp.fused.trial import LaneResult

__all__ = ["results_of"]


def results_of(program: Program, lanes: Sequence[RunningTrial]) -> Iterator[LaneResult]:
    """Yields the results of lanes that have ended, with the test's metrics if there are test rows.

    Args:
        program: the lanes' program.
        lanes: at most as many as it has lanes.
    """
    tests: Sequence[dict[str, float]] = _test(program, lanes) if program.rows[2] else [{} for _ in lanes]
    for lane, test in zip(lanes, tests, strict=True):
        yield _result(program, lane, {} if lane.status == "diverged" else test)


def _test(program: Program, lanes: Sequence[RunningTrial]) -> list[dict[str, float]]:
    """Evaluates each lane on its test rows; returns metric -> value for each."""
    import numpy as np

    states = [lane.final for lane in lanes if lane.final is not None]
    floats, ints = program.inputs.arrays([lane.values for lane in lanes])
    rows = _stacked([[lane.test] for lane in lanes], program.width)[0].astype(np.int32)
    floats, ints = (_stacked([[row] for row in array], program.width)[0] for array in (floats, ints))
    active = [slot < len(lanes) for slot in range(len(rows))]
    _, metrics = program.evaluate(_stacked(states, program.width), floats, ints, rows, active)
    measured = np.asarray(metrics).tolist()
    return [dict(zip(program.eval_names, row, strict=True)) for row in measured[: len(lanes)]]


def _result(program: Program, lane: RunningTrial, test: dict[str, float]) -> LaneResult:
    assert lane.final is not None
    trainable, fixed = program.structure.blueprint.boundaries
    return LaneResult(
        lane.trial,
        lane.status,  # type: ignore[arg-type]
        lane.reason,
        lane.history,
        test,
        TrainedState(lane.final[:trainable], lane.final[trainable:fixed], lane.final[fixed:]),
        [lane.final[position] for position in program.weight_positions],
        program.width,
        program.executor,
    )


def _stacked(states: Sequence[Sequence[Any]], width: int) -> list[Any]:
    """Stacks lanes' arrays along a new first axis of `width`; the last lane is repeated to fill it."""
    import numpy as np

    full = [*states, *[states[-1]] * (width - len(states))]
    return [np.stack(values) for values in zip(*full, strict=True)]

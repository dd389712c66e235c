"""The test of lanes that have ended, a program's width at a time, and their results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kexp.experiment import TrainedState
from kexp.fused.lanes.running_trial import RunningTrial
from kexp.fused.program.program import Program
from kexp.fused.trial import LaneResult

__all__ = ["results_of"]


def results_of(program: Program, lanes: Sequence[RunningTrial]) -> Iterator[LaneResult]:
    """The results of lanes that have ended, results_of where there are test rows.

    Args:
        program: the lanes'.
        lanes: at most as many as it has.
    """
    found: Sequence[dict[str, float]] = _measured(program, lanes) if program.rows[2] else [{} for _ in lanes]
    for lane, test in zip(lanes, found, strict=True):
        yield _result(program, lane, {} if lane.status == "diverged" else test)


def _measured(program: Program, lanes: Sequence[RunningTrial]) -> list[dict[str, float]]:
    import numpy as np

    states = [lane.final for lane in lanes if lane.final is not None]
    floats, ints = program.slots.fill([lane.values for lane in lanes])
    rows = _stacked([[lane.test] for lane in lanes], program.width)[0].astype(np.int32)
    floats, ints = (_stacked([[row] for row in array], program.width)[0] for array in (floats, ints))
    busy = [slot < len(lanes) for slot in range(len(rows))]
    _, found = program.evaluate(_stacked(states, program.width), floats, ints, rows, busy)
    measured = np.asarray(found).tolist()
    return [dict(zip(program.eval_names, row, strict=True)) for row in measured[: len(lanes)]]


def _result(program: Program, lane: RunningTrial, test: dict[str, float]) -> LaneResult:
    assert lane.final is not None
    trainable, fixed = program.structure.blueprint.parts
    state = TrainedState(lane.final[:trainable], lane.final[trainable:fixed], lane.final[fixed:])
    return LaneResult(
        lane.trial,
        lane.status,  # type: ignore[arg-type]
        lane.reason,
        lane.history,
        test,
        state,
        [lane.final[place] for place in program.weight_places],
        program.width,
        program.executor,
    )


def _stacked(states: Sequence[Sequence[Any]], width: int) -> list[Any]:
    """Lanes' states as one, the last repeated to fill the width."""
    import numpy as np

    full = [*states, *[states[-1]] * (width - len(states))]
    return [np.stack(values) for values in zip(*full, strict=True)]

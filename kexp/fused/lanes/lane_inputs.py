"""The inputs of a program besides the state of its lanes: their numbers, class weights and validation rows."""

from __future__ import annotations

from collections.abc import Sequence

from kexp.fused.lanes.running_trial import RunningTrial
from kexp.fused.program.program import Program

__all__ = ["LaneInputs"]


class LaneInputs:
    """The inputs of all lanes. Arrays are replaced and not written to, because a running program may still read them.

    Args:
        program: the lanes' program.

    Attributes:
        floats: the float inputs, shape (width, inputs).
        ints: the integer inputs, shape (width, inputs).
        class_weights: weight by class, shape (width, classes); None without class weights.
        validation: row numbers of the validation, shape (width, rows).
    """

    def __init__(self, program: Program) -> None:
        import numpy as np

        self._inputs = program.inputs
        self.floats, self.ints = program.inputs.arrays([program.inputs.values] * program.width)
        weights = np.ones((program.width, program.classes), np.float32)
        self.class_weights = weights if program.has_class_weights else None
        self.validation = np.zeros((program.width, program.rows[1]), np.int32)

    def begin(self, lanes: Sequence[RunningTrial]) -> None:
        """Sets all inputs of lanes that begin."""
        self.set_numbers(lanes)
        self.validation = self.validation.copy()
        if self.class_weights is not None:
            self.class_weights = self.class_weights.copy()
        for lane in lanes:
            if lane.validation is not None:
                self.validation[lane.slot] = lane.validation
            if self.class_weights is not None:
                self.class_weights[lane.slot] = lane.class_weights

    def set_numbers(self, lanes: Sequence[RunningTrial]) -> None:
        """Sets the current numbers of lanes."""
        self.floats, self.ints = self.floats.copy(), self.ints.copy()
        slots = [lane.slot for lane in lanes]
        self.floats[slots], self.ints[slots] = self._inputs.arrays([lane.values for lane in lanes])

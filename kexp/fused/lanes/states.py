"""The variables of a program's lanes, and what the callbacks of one lane may read and set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from kexp.fused.program.program import Program

__all__ = ["LaneStates"]


class _Lane(Protocol):
    """A lane: its slot in the program, and its own variables once it has ended."""

    slot: int
    final: list[Any] | None


class LaneStates:
    """The variables of all lanes.

    Args:
        program: the program.

    Attributes:
        values: an array for each variable, shape (width, *variable shape); each epoch reuses their memory.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.values: list[Any] = program.blank()
        blueprint = program.structure.blueprint
        positions = {id(variable): position for position, variable in enumerate(blueprint.variables)}
        self._rate_position = positions.get(id(blueprint.model.optimizer._learning_rate))

    def of(self, lane: _Lane) -> list[Any]:
        """Returns a lane's variables."""
        import numpy as np

        if lane.final is not None:
            return lane.final
        return [np.array(np.asarray(values)[lane.slot]) for values in self.values]

    def put(self, lane: _Lane, position: int, value: Any) -> None:
        """Sets one of a lane's variables."""
        import numpy as np

        if lane.final is not None:
            lane.final[position] = np.asarray(value, lane.final[position].dtype)
            return
        array = np.array(self.values[position])
        array[lane.slot] = np.asarray(value)
        self.values[position] = array

    def weights(self, lane: _Lane) -> list[Any]:
        """Returns a lane's weights, in the order of `model.get_weights()`."""
        import numpy as np

        positions = self.program.weight_positions
        if lane.final is not None:
            return [lane.final[position] for position in positions]
        return [np.array(np.asarray(self.values[position])[lane.slot]) for position in positions]

    def set_weights(self, lane: _Lane, weights: Sequence[Any]) -> None:
        """Replaces a lane's weights, during training or after its end."""
        for position, value in zip(self.program.weight_positions, weights, strict=True):
            self.put(lane, position, value)

    @property
    def has_rate(self) -> bool:
        """Whether the learning rate is a variable; a schedule is not."""
        return self._rate_position is not None

    def rate(self, lane: _Lane) -> Any:
        """Returns a lane's learning rate.

        Raises:
            AttributeError: the learning rate is a schedule.
        """
        import numpy as np

        if self._rate_position is None:
            raise AttributeError("the learning rate is a schedule")
        return np.asarray(self.values[self._rate_position])[lane.slot]

    def set_rate(self, lane: _Lane, value: Any) -> None:
        """Sets a lane's learning rate.

        Raises:
            AttributeError: the learning rate is a schedule.
        """
        if self._rate_position is None:
            raise AttributeError("the learning rate is a schedule, and cannot be set")
        self.put(lane, self._rate_position, value)

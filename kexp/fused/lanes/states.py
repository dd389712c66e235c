"""The variables of a program's lanes, and what callbacks of one of them may read and set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from kexp.fused.program.program import Program

__all__ = ["LaneStates"]


class _Lane(Protocol):
    """A lane: its place in the program, and its own variables once it has ended."""

    slot: int
    final: list[Any] | None


class LaneStates:
    """The variables of all lanes.

    Args:
        program: the lanes'.

    Attributes:
        values: an array for each variable, shape (width, *variable's); given away by each epoch.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.values: list[Any] = program.blank()
        blueprint = program.structure.blueprint
        places = {id(variable): i for i, variable in enumerate(blueprint.variables)}
        self._rate_place = places.get(id(blueprint.model.optimizer._learning_rate))

    def of(self, lane: _Lane) -> list[Any]:
        """A lane's variables."""
        import numpy as np

        if lane.final is not None:
            return lane.final
        return [np.array(np.asarray(values)[lane.slot]) for values in self.values]

    def put(self, lane: _Lane, place: int, value: Any) -> None:
        """Sets one of a lane's variables."""
        import numpy as np

        if lane.final is not None:
            lane.final[place] = np.asarray(value, lane.final[place].dtype)
            return
        array = np.array(self.values[place])
        array[lane.slot] = np.asarray(value)
        self.values[place] = array

    def weights(self, lane: _Lane) -> list[Any]:
        """A lane's weights, in the order of `model.get_weights()`."""
        import numpy as np

        places = self.program.weight_places
        if lane.final is not None:
            return [lane.final[place] for place in places]
        return [np.array(np.asarray(self.values[place])[lane.slot]) for place in places]

    def set_weights(self, lane: _Lane, weights: Sequence[Any]) -> None:
        """Replaces a lane's weights, while it trains or after its end."""
        for place, value in zip(self.program.weight_places, weights, strict=True):
            self.put(lane, place, value)

    @property
    def has_rate(self) -> bool:
        """Whether the learning rate is one of the variables, and no schedule."""
        return self._rate_place is not None

    def rate(self, lane: _Lane) -> Any:
        """A lane's learning rate."""
        import numpy as np

        if self._rate_place is None:
            raise AttributeError("the learning rate is a schedule")
        return np.asarray(self.values[self._rate_place])[lane.slot]

    def set_rate(self, lane: _Lane, value: Any) -> None:
        """Sets a lane's learning rate."""
        if self._rate_place is None:
            raise AttributeError("the learning rate is a schedule, and cannot be set")
        self.put(lane, self._rate_place, value)

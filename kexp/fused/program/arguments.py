"""The shapes of the arguments of a program's functions, for which they are lowered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kexp.fused.functional.lowering import lower_lanes, put_on_devices
from kexp.fused.inputs.symbols import FLOATS, INTS
from kexp.fused.structure.structure import Structure

__all__ = ["Arguments", "arguments_of"]


@dataclass(frozen=True)
class Arguments:
    """Shapes and dtypes; each array has a leading axis of `width`.

    Attributes:
        width: number of lanes.
        state: of the variables, in the order of `Blueprint.variables`.
        metrics: the values of the metrics' variables before the first step.
        numbers: of the float and the integer inputs.
        class_weights: of the weights by class; None without class weights.
    """

    width: int
    state: list[Any]
    metrics: list[Any]
    numbers: tuple[Any, Any]
    class_weights: Any

    def lower_training(self, function: Callable[..., Any], rows: int, table: Any, *, donate: Any = 0) -> Any:
        """Lowers `LaneFunctions.train_epoch` or `train_block` for all lanes.

        Args:
            function: the function of one lane.
            rows: how many rows it trains on.
            table: the data, of which only shapes and dtypes are used.
            donate: positions of the arguments whose memory the program may reuse; by default the state's.
        """
        arguments = (self.state, self.metrics, *self.numbers, self.class_weights, self._row_numbers(rows), table)
        return lower_lanes(function, self.width, arguments, shared=1, donate=donate)

    def lower_evaluation(self, function: Callable[..., Any], rows: int, table: Any) -> Any:
        """Lowers `LaneFunctions.evaluate` or `eval_block` for all lanes; arguments as of `lower_training`."""
        arguments = (self.state, self.metrics, *self.numbers, self._row_numbers(rows), table)
        return lower_lanes(function, self.width, arguments, shared=1)

    def lower_start(self, function: Callable[..., Any], positions: tuple[int, ...]) -> Any:
        """Lowers `LaneStarts.start` for all lanes, given the first values of the variables at these positions."""
        import jax

        fresh = jax.ShapeDtypeStruct((self.width,), bool)
        given = [self.state[position] for position in positions]
        return lower_lanes(function, self.width, (self.state, fresh, given), donate=0)

    def _row_numbers(self, count: int) -> Any:
        import jax
        import numpy as np

        return jax.ShapeDtypeStruct((self.width, count), np.int32)


def arguments_of(structure: Structure, width: int, classes: int | None) -> Arguments:
    """Returns the shapes for a structure.

    Args:
        structure: the structure.
        width: number of lanes.
        classes: number of classes with weights; None without class weights.
    """
    import jax
    import numpy as np

    def shaped(shape: tuple[int, ...], dtype: Any) -> Any:
        return jax.ShapeDtypeStruct((width, *shape), dtype)

    blueprint = structure.blueprint
    return Arguments(
        width,
        state=[shaped(variable.shape, str(variable._dtype)) for variable in blueprint.variables],
        metrics=put_on_devices([np.stack([each] * width) for each in blueprint.metrics], width, split=True),
        numbers=(shaped((FLOATS,), np.float32), shaped((INTS,), np.int32)),
        class_weights=None if classes is None else shaped((classes,), np.float32),
    )

"""Lanes taken out of a program's state, and put into it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from kexp.fused.functional.lowering import compile_fast, device_count, lower_lanes

__all__ = ["LaneSlices"]


class LaneSlices:
    """Takes lanes out of a state and puts them in; compiled when first used.

    Args:
        variables: shape and type of each variable of one lane.
        width: lanes of the program.
    """

    def __init__(self, variables: Sequence[tuple[tuple[int, ...], str]], width: int) -> None:
        self._variables, self._width = variables, width

    def take(self, state: Any, slot: int) -> list[Any]:
        """A lane's variables, which stay on the device: the state may be given away afterwards."""
        import numpy as np

        taken: list[Any] = self._compiled[0](state, slot)
        if device_count(self._width) > 1:  # lanes may go on at another device
            return [np.asarray(values) for values in taken]
        return taken

    def put(self, state: Any, slot: int, lane: Sequence[Any]) -> list[Any]:
        """The state with a lane that was taken out in one of its places; the state is given away."""
        import numpy as np

        put: list[Any] = self._compiled[1](state, np.arange(self._width) == slot, list(lane))
        return put

    @cached_property
    def _compiled(self) -> tuple[Any, Any]:
        import jax

        def take(state: Any, slot: Any) -> Any:
            return [values[slot] for values in state]

        def put(old: Any, here: Any, lane: Any) -> Any:
            return [jax.numpy.where(here, new, kept) for new, kept in zip(lane, old, strict=True)]

        one = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in self._variables]
        state = [jax.ShapeDtypeStruct((self._width, *each.shape), each.dtype) for each in one]
        here = jax.ShapeDtypeStruct((self._width,), bool)
        lowered = lower_lanes(put, self._width, (state, here, one), shared=1, donate=0)
        return jax.jit(take), compile_fast(lowered, 1)

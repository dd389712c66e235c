"""Copies single lanes out of the state of a program, and into it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from kexp.fused.functional.lowering import compile_fast, device_count, lower_lanes
from kexp.fused.program.arguments import Arguments

__all__ = ["LaneSlices"]


class LaneSlices:
    """Reads and writes single lanes of a state. Compiled when first used.

    Args:
        arguments: the shapes of the state.
    """

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments

    def take(self, state: Any, slot: int) -> list[Any]:
        """Returns a copy of a lane's variables, on the device: the program may then reuse the state's memory."""
        import numpy as np

        taken: list[Any] = self._compiled[0](state, slot)
        if device_count(self._arguments.width) > 1:  # the lane may continue on another device
            return [np.asarray(values) for values in taken]
        return taken

    def put(self, state: Any, slot: int, lane: Sequence[Any]) -> list[Any]:
        """Returns the state with a lane's variables in one of its slots. The memory of `state` is reused."""
        import numpy as np

        put: list[Any] = self._compiled[1](state, np.arange(self._arguments.width) == slot, list(lane))
        return put

    @cached_property
    def _compiled(self) -> tuple[Any, Any]:
        import jax

        def take(state: Any, slot: Any) -> Any:
            return [values[slot] for values in state]

        def put(old: Any, is_here: Any, lane: Any) -> Any:
            return [jax.numpy.where(is_here, new, kept) for new, kept in zip(lane, old, strict=True)]

        state, width = self._arguments.state, self._arguments.width
        lane = [jax.ShapeDtypeStruct(each.shape[1:], each.dtype) for each in state]
        is_here = jax.ShapeDtypeStruct((width,), bool)
        lowered = lower_lanes(put, width, (state, is_here, lane), shared=1, donate=0)
        return jax.jit(take), compile_fast(lowered, 1)

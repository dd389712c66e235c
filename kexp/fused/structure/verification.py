"""Whether a program with inputs does what the model with other numbers does by itself; checked once a machine."""

from __future__ import annotations

from typing import Any

from kexp.fused.functional.blueprint import Blueprint
from kexp.fused.functional.lane_functions import LaneFunctions
from kexp.fused.functional.lowering import compile_fast
from kexp.fused.inputs.bindings import Binding
from kexp.fused.inputs.config_numbers import Key, numbers_of
from kexp.fused.inputs.symbols import FLOATS, INTS, ProgramInputs
from kexp.fused.structure.comparison import agree_to_rounding, perturbed
from kexp.fused.structure.trace_cache import cache_file, read_cached, write_cached

__all__ = ["verified_inputs"]


def verified_inputs(
    blueprint: Blueprint,
    probe: Blueprint,
    places: list[Binding],
    tracers: frozenset[Key],
    batches: list[tuple[Any, ...]],
) -> ProgramInputs | None:
    """The inputs of the representative's program, if with the probe's numbers it does what the probe does; else None.

    What an earlier process has checked is not checked again.
    """
    import jax
    import numpy as np

    prepared, numbers = blueprint.prepared, numbers_of(blueprint.prepared.experiment)
    others = {**numbers, **numbers_of(probe.prepared.experiment)}
    bound_to = [place.key for place in places]
    constants = {key: value for key, value in numbers.items() if key not in bound_to}
    file = cache_file("check", prepared, bound_to, sorted(tracers, key=repr), constants)
    kept = read_cached(file)
    if kept is not None:
        slots = ProgramInputs(numbers, kept["slots"])
        if slots.agree(numbers) and slots.agree(others):
            return slots
    slots = ProgramInputs(numbers)
    mine = LaneFunctions(blueprint, places, tracers, slots, prepared.batch_size)
    theirs = LaneFunctions(probe, [], frozenset(), ProgramInputs({}), prepared.batch_size)

    def both(floats: Any, ints: Any, state: Any, batches: Any) -> Any:
        with mine.numbers(floats, ints):
            ours = mine.measure(list(state), mine._reset(), batches)
        return ours, theirs.measure(list(state), theirs._reset(), batches)

    empty, state = (np.zeros(FLOATS, np.float32), np.zeros(INTS, np.int32)), probe.state()
    compiled_for = jax.jit(both).lower(*empty, state, batches)
    if not slots.agree(others):
        return None
    floats, ints = slots.fill([others])
    run = compile_fast(compiled_for, 0)
    ours, expected = jax.tree.map(np.asarray, run(floats[0], ints[0], state, batches))
    nearby = jax.tree.map(np.asarray, run(floats[0], ints[0], perturbed(state), batches)[1])
    if not agree_to_rounding(state, ours, expected, nearby):
        return None
    write_cached(file, {"slots": slots.found})
    return slots

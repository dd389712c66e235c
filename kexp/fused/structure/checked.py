"""Whether a program with inputs does what the model with other numbers does by itself; checked once a machine."""

from __future__ import annotations

from typing import Any

from kexp.fused.structure.bindings import Place
from kexp.fused.structure.blueprint import Blueprint
from kexp.fused.structure.comparison import nudged, same_way
from kexp.fused.structure.config_numbers import Key, numbers_of
from kexp.fused.structure.known import known_by, recall, remember
from kexp.fused.structure.lowering import compiled_quickly
from kexp.fused.structure.numbers import FLOATS, INTS, Slots
from kexp.fused.structure.pure import Lane

__all__ = ["checked_slots"]


def checked_slots(
    blueprint: Blueprint,
    probe: Blueprint,
    places: list[Place],
    tracers: frozenset[Key],
    batches: list[tuple[Any, ...]],
) -> Slots | None:
    """The inputs of the representative's program, if with the probe's numbers it does what the probe does; else None.

    What an earlier process has checked is not checked again.
    """
    import jax
    import numpy as np

    prepared, numbers = blueprint.prepared, numbers_of(blueprint.prepared.experiment)
    others = {**numbers, **numbers_of(probe.prepared.experiment)}
    bound_to = [place.key for place in places]
    constants = {key: value for key, value in numbers.items() if key not in bound_to}
    file = known_by("check", prepared, bound_to, sorted(tracers, key=repr), constants)
    kept = recall(file)
    if kept is not None:
        slots = Slots(numbers, kept["slots"])
        if slots.agree(numbers) and slots.agree(others):
            return slots
    slots = Slots(numbers)
    mine = Lane(blueprint, places, tracers, slots, prepared.batch_size)
    theirs = Lane(probe, [], frozenset(), Slots({}), prepared.batch_size)

    def both(floats: Any, ints: Any, state: Any, batches: Any) -> Any:
        with mine.numbers(floats, ints):
            ours = mine.measure(list(state), mine._reset(), batches)
        return ours, theirs.measure(list(state), theirs._reset(), batches)

    empty, state = (np.zeros(FLOATS, np.float32), np.zeros(INTS, np.int32)), probe.state()
    compiled_for = jax.jit(both).lower(*empty, state, batches)
    if not slots.agree(others):
        return None
    floats, ints = slots.fill([others])
    run = compiled_quickly(compiled_for, 0)
    ours, expected = jax.tree.map(np.asarray, run(floats[0], ints[0], state, batches))
    nearby = jax.tree.map(np.asarray, run(floats[0], ints[0], nudged(state), batches)[1])
    if not same_way(state, ours, expected, nearby):
        return None
    remember(file, {"slots": slots.found})
    return slots

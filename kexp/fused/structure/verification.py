"""Verifies that a program with inputs trains like a model built with those numbers. The result is cached on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kexp.fused.functional.blueprint import Blueprint
from kexp.fused.functional.lane_functions import LaneFunctions
from kexp.fused.functional.lowering import compile_fast
from kexp.fused.inputs.bindings import Binding
from kexp.fused.inputs.config_numbers import ConfigPath, numbers_of
from kexp.fused.inputs.symbols import FLOATS, INTS, ProgramInputs
from kexp.fused.structure.comparison import agree_to_rounding, perturbed
from kexp.fused.structure.trace_cache import cache_file, read_cached, write_cached

__all__ = ["verified_inputs"]


def verified_inputs(
    blueprint: Blueprint,
    probe: Blueprint,
    bindings: Sequence[Binding],
    plain_keys: frozenset[ConfigPath],
    batches: Sequence[tuple[Any, ...]],
) -> ProgramInputs | None:
    """Compares a few training steps of two models: the blueprint's with the probe's numbers as inputs, and the probe's.

    Args:
        blueprint: the representative's model.
        probe: the same model, built with other numbers.
        bindings: where the blueprint's model holds its numbers.
        plain_keys: numbers that Keras gets as traced arrays instead of symbols.
        batches: batches of one size; a step is run on each.

    Returns:
        The inputs of the blueprint's program, as tracing has found them; None if the results differ, or if a Python
        branch on a number is taken differently. An earlier process may have found them already.
    """
    import jax
    import numpy as np

    prepared, numbers = blueprint.prepared, numbers_of(blueprint.prepared.experiment)
    others = {**numbers, **numbers_of(probe.prepared.experiment)}
    bound_keys = [binding.key for binding in bindings]
    constants = {key: value for key, value in numbers.items() if key not in bound_keys}
    file = cache_file("check", prepared, bound_keys, sorted(plain_keys, key=repr), constants)
    cached = read_cached(file)
    if cached is not None:
        inputs = ProgramInputs(numbers, cached["inputs"])
        if inputs.has_same_branches(numbers) and inputs.has_same_branches(others):
            return inputs
    inputs = ProgramInputs(numbers)
    with_inputs = LaneFunctions(blueprint, bindings, plain_keys, inputs, prepared.batch_size)
    built = LaneFunctions(probe, [], frozenset(), ProgramInputs({}), prepared.batch_size)

    def run_both(floats: Any, ints: Any, state: Any, batches: Any) -> Any:
        with with_inputs.bound_to(floats, ints):
            result = with_inputs.run_steps(list(state), batches)
        return result, built.run_steps(list(state), batches)

    state = probe.state()
    lowered = jax.jit(run_both).lower(np.zeros(FLOATS, np.float32), np.zeros(INTS, np.int32), state, batches)
    if not inputs.has_same_branches(others):
        return None
    floats, ints = inputs.arrays([others])
    run = compile_fast(lowered, 0)
    result, expected = jax.tree.map(np.asarray, run(floats[0], ints[0], state, batches))
    nearby = jax.tree.map(np.asarray, run(floats[0], ints[0], perturbed(state), batches)[1])
    if not agree_to_rounding(state, result, expected, nearby):
        return None
    write_cached(file, {"inputs": inputs.found})
    return inputs

"""What a group of trials has in common, found by trying: which numbers can be inputs, and how a training starts.

Two models are built: the representative's and a probe's, every number and the seed moved. Where the numbers ended up is
read off the two; then a few steps of the representative's program, given the probe's numbers, must do what the probe
does by itself. What cannot be traced, or gives another result, stays a constant and splits the group.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kexp.errors import ConfigError
from kexp.experiment import Prepared, build_compiled, why_untraceable
from kexp.fused.functional.blueprint import Blueprint, build_blueprint, drawn_seeds, prepared_with_numbers
from kexp.fused.functional.initial_state import InitialState
from kexp.fused.functional.lane_functions import LaneFunctions
from kexp.fused.inputs.bindings import Binding, find_bindings
from kexp.fused.inputs.config_numbers import RATE, Key, moved, numbers_of
from kexp.fused.inputs.symbols import FLOATS, INTS, ProgramInputs, UntraceableError
from kexp.fused.structure.adapted_layers import depends_on_rows, needs_rebuild
from kexp.fused.structure.structure import NotFusableError, Structure
from kexp.fused.structure.verification import verified_inputs

__all__ = ["analyse"]


class _UnclearError(Exception):
    """Some numbers are nowhere in the built objects (`unplaced`), or `derived` others were worked out of them."""

    def __init__(self, unplaced: frozenset[Key], derived: int) -> None:
        super().__init__("the model is another at each build")
        self.unplaced, self.derived = unplaced, derived


def analyse(prepared: Prepared, batches: list[tuple[Any, ...]], constants: frozenset[Key] = frozenset()) -> Structure:
    """Finds which of a trial's numbers can be inputs of a program.

    Args:
        prepared: the representative.
        batches: a few batches of its training rows.
        constants: numbers known not to be inputs.

    Raises:
        NotFusableError: JAX cannot compile a component.
        ConfigError: the trial itself cannot be built.
    """
    blueprint = _representative(prepared, batches[0])
    own_loop = _own_loop(blueprint.model)
    if own_loop:
        raise NotFusableError(own_loop)
    numbers = numbers_of(prepared.experiment)
    tracers: frozenset[Key] = frozenset()
    while True:
        keys = {key: value for key, value in numbers.items() if key not in constants}
        try:
            probe = _probe(prepared, keys, batches[0])
        except Exception:
            if not keys:
                raise
            bad = frozenset(key for key in keys if not _builds(prepared, {key: keys[key]}, batches[0]))
            if not bad:
                bad = frozenset(keys)
            constants |= bad
            continue
        try:
            verdict = _compare(blueprint, probe, keys, tracers, batches)
        except _UnclearError as error:
            constants |= _more_constants(error, blueprint, prepared, keys, batches[0])
            continue
        except UntraceableError as error:
            constants |= error.keys & frozenset(keys) or frozenset(keys)
            continue
        except Exception as error:
            if not keys:
                why = why_untraceable(prepared.experiment, blueprint.model, batches[0], error)
                raise NotFusableError(why) from error
            more, dropped = _trace_one_by_one(blueprint, probe, keys, tracers, batches)
            if not more and not dropped:
                dropped = frozenset(keys)
            tracers, constants = tracers | more, constants | dropped
            continue
        if isinstance(verdict, Structure):
            verdict.constants = constants
            return verdict
        if not keys:
            raise NotFusableError(
                "the model gives another result when its step is repeated with the same state; "
                "a component keeps state that Keras does not know of"
            )
        wrong = _wrong_one_by_one(prepared, blueprint, keys, tracers, batches)
        constants |= wrong or frozenset(keys)


def _own_loop(model: Any) -> str:
    """What a model's class does in its own way of what lanes do in Keras'; empty where nothing."""
    import keras

    for name in ("train_step", "test_step", "make_train_function", "make_test_function", "fit", "evaluate"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            return f"model: {type(model).__name__} has a {name} of its own, which lanes do not call"
    return ""


def _representative(prepared: Prepared, batch: tuple[Any, ...]) -> Blueprint:
    try:
        return build_blueprint(prepared, batch)
    except ConfigError:
        raise
    except Exception as error:  # Keras builds losses and metrics by tracing them
        why = why_untraceable(prepared.experiment, build_compiled(prepared), batch, error)
        raise NotFusableError(why) from error


def _probe(prepared: Prepared, keys: Mapping[Key, Any], batch: tuple[Any, ...]) -> Blueprint:
    other = prepared_with_numbers(prepared, moved(keys), seed=(prepared.experiment.seed + 7919) % 2**31)
    return build_blueprint(other, batch)


def _builds(prepared: Prepared, keys: Mapping[Key, Any], batch: tuple[Any, ...]) -> bool:
    try:
        _probe(prepared, keys, batch)
    except Exception:
        return False
    return True


def _derived(blueprint: Blueprint, prepared: Prepared, keys: Mapping[Key, Any], batch: tuple[Any, ...]) -> int:
    """How many numbers of the model building works out of the given ones, less those that differ anyway."""
    try:
        _found(blueprint, _probe(prepared, keys, batch), keys)
    except _UnclearError as error:
        return error.derived
    return 0


def _more_constants(
    error: _UnclearError, blueprint: Blueprint, prepared: Prepared, keys: Mapping[Key, Any], batch: tuple[Any, ...]
) -> frozenset[Key]:
    """The numbers that cannot be inputs; none where the builds may compare once `blueprint.noise` is known."""
    if error.derived and blueprint.noise is None:
        blueprint.noise = _derived(blueprint, prepared, {}, batch)
        if blueprint.noise:
            return frozenset()
    if not keys:
        raise NotFusableError(str(error)) from error
    derived = {key for key in keys if error.derived and _derived(blueprint, prepared, {key: keys[key]}, batch)}
    return (error.unplaced | derived) or frozenset(keys)


def _found(blueprint: Blueprint, probe: Blueprint, keys: Mapping[Key, Any]) -> tuple[list[Binding], InitialState]:
    """Where the numbers stand in the model, and how its variables start.

    Raises:
        _UnclearError: some number is in neither.
    """
    names: dict[tuple[Any, Any], Any] = {}
    other = numbers_of(probe.prepared.experiment)
    for position, pair in enumerate(zip(blueprint.seeds, probe.seeds, strict=False)):
        names.setdefault(pair, position)
    for key, value in keys.items():
        names[(value, other[key])] = key
    beginning = InitialState(blueprint, probe, names)
    made_by = blueprint.initializers.values()
    places, derived = find_bindings([blueprint.model], [probe.model], names, without=made_by)
    places = [place for place in places if not isinstance(place.key, int)]
    placed = {place.key for place in places} | beginning.keys
    derived += beginning.derived - (blueprint.noise or 0)
    if derived > 0 or not placed >= set(keys):
        raise _UnclearError(frozenset(keys) - placed, max(derived, 0))
    return places, beginning


def _compare(
    blueprint: Blueprint,
    probe: Blueprint,
    keys: Mapping[Key, Any],
    tracers: frozenset[Key],
    batches: list[tuple[Any, ...]],
) -> Structure | None:
    """The structure, if the representative's program with the probe's numbers does what the probe does; else None."""
    import numpy as np

    if [v.shape for v in blueprint.variables] != [v.shape for v in probe.variables]:
        return None
    if probe.seeds != drawn_seeds(probe.prepared.experiment.seed, len(probe.seeds)):
        raise NotFusableError("a component draws from Python's random numbers in a way that depends on the config")
    places, beginning = _found(blueprint, probe, keys)
    slots = verified_inputs(blueprint, probe, places, tracers, batches)
    if slots is None:
        return None
    state, numbers = probe.state(), numbers_of(blueprint.prepared.experiment)
    others = {**numbers, **numbers_of(probe.prepared.experiment)}
    start = {**beginning.constants(), **beginning.values(others, probe.prepared.experiment.seed)}
    near = partial(np.allclose, rtol=1e-6, atol=1e-7, equal_nan=True)
    given = tuple(place for place, value in enumerate(state) if not near(start[place], value))
    own = ProgramInputs(numbers)
    own.branches.update(slots.branches)
    fresh = LaneFunctions(blueprint, places, tracers, own, blueprint.prepared.batch_size)
    rebuilt = needs_rebuild(blueprint, given)
    read = slots.keys | _rate(blueprint)
    return Structure(blueprint, frozenset(), fresh, beginning, given, rebuilt, depends_on_rows(blueprint), read)


def _rate(blueprint: Blueprint) -> frozenset[Key]:
    """The learning rate's key, where it is one of the optimizer's variables."""
    rate = getattr(blueprint.model.optimizer, "_learning_rate", None)
    return frozenset({RATE} if any(rate is variable for variable in blueprint.variables) else ())


def _trace_one_by_one(
    blueprint: Blueprint,
    probe: Blueprint,
    keys: Mapping[Key, Any],
    tracers: frozenset[Key],
    batches: list[tuple[Any, ...]],
) -> tuple[frozenset[Key], frozenset[Key]]:
    """The numbers that trace as plain arrays only, and those that do not trace at all."""
    more, dropped = set(), set()
    for key in keys:
        if _traces(blueprint, probe, keys, tracers, batches, key):
            continue
        if key not in tracers and _traces(blueprint, probe, keys, tracers | {key}, batches, key):
            more.add(key)
        else:
            dropped.add(key)
    return frozenset(more), frozenset(dropped)


def _traces(
    blueprint: Blueprint,
    probe: Blueprint,
    keys: Mapping[Key, Any],
    tracers: frozenset[Key],
    batches: list[tuple[Any, ...]],
    key: Key,
) -> bool:
    import jax
    import numpy as np

    places = [place for place in _found(blueprint, probe, keys)[0] if place.key == key]
    prepared = blueprint.prepared
    lane = LaneFunctions(
        blueprint, places, tracers, ProgramInputs(numbers_of(prepared.experiment)), prepared.batch_size
    )

    def run(floats: Any, ints: Any, state: Any) -> Any:
        with lane.numbers(floats, ints):
            return lane.measure(list(state), lane._reset(), batches[:1])

    try:
        jax.eval_shape(
            run,
            np.zeros(FLOATS, np.float32),
            np.zeros(INTS, np.int32),
            blueprint.state(),
        )
    except Exception:
        return False
    return True


def _wrong_one_by_one(
    prepared: Prepared,
    blueprint: Blueprint,
    keys: Mapping[Key, Any],
    tracers: frozenset[Key],
    batches: list[tuple[Any, ...]],
) -> frozenset[Key]:
    wrong = set()
    for key in keys:
        one = {key: keys[key]}
        try:
            if _compare(blueprint, _probe(prepared, one, batches[0]), one, tracers, batches) is None:
                wrong.add(key)
        except Exception:
            wrong.add(key)
    return frozenset(wrong)

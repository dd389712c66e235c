"""Finds by trial which numbers of a group of trials can be inputs of one program, and how their models start.

Two models are built: the representative's, and a probe's with other numbers and another seed. Comparing the two shows
where the numbers are. Then the representative's program, given the probe's numbers, runs a few steps, which must have
the same result as the probe's own steps. A number that cannot be traced, or with which the result differs, becomes a
constant, and trials that differ in it do not share a program.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from kexp.errors import ConfigError
from kexp.experiment import Prepared, build_compiled, why_untraceable
from kexp.fused.functional.blueprint import Blueprint, build_blueprint, drawn_seeds
from kexp.fused.functional.initial_state import InitialState
from kexp.fused.functional.lane_functions import LaneFunctions
from kexp.fused.inputs.bindings import Binding, find_bindings
from kexp.fused.inputs.config_numbers import RATE, ConfigPath, numbers_of, probe_numbers, with_numbers
from kexp.fused.inputs.symbols import FLOATS, INTS, ProgramInputs, UntraceableError
from kexp.fused.structure.adapted_layers import depends_on_rows, needs_rebuild
from kexp.fused.structure.structure import NotFusableError, Structure
from kexp.fused.structure.verification import verified_inputs

__all__ = ["analyse"]

_Numbers = Mapping[ConfigPath, float | int]


class _UnresolvedError(Exception):
    """Some numbers are nowhere in the built objects (`unplaced`), or other values depend on them (`derived` many)."""

    def __init__(self, unplaced: frozenset[ConfigPath], derived: int) -> None:
        super().__init__("the model is another at each build")
        self.unplaced, self.derived = unplaced, derived


def analyse(
    prepared: Prepared, batches: Sequence[tuple[Any, ...]], constants: frozenset[ConfigPath] = frozenset()
) -> Structure:
    """Finds which of a trial's numbers can be inputs of a program.

    Args:
        prepared: the trial, which becomes the representative of the structure.
        batches: a few batches of its training rows.
        constants: numbers that are known not to be inputs.

    Raises:
        NotFusableError: JAX cannot compile a component, or the model's class has a training loop of its own.
        ConfigError: the trial's model cannot be built.
    """
    blueprint = _build_representative(prepared, batches[0])
    if reason := _own_loop(blueprint.model):
        raise NotFusableError(reason)
    return _Analysis(blueprint, batches, constants).run()


def _build_representative(prepared: Prepared, batch: tuple[Any, ...]) -> Blueprint:
    try:
        return build_blueprint(prepared, batch)
    except ConfigError:
        raise
    except Exception as error:  # Keras traces losses and metrics while it builds them
        why = why_untraceable(prepared.experiment, build_compiled(prepared), batch, error)
        raise NotFusableError(why) from error


def _own_loop(model: Any) -> str:
    """Returns a sentence if the model's class overrides a part of Keras' loop that lanes do not call; else empty."""
    import keras

    for name in ("train_step", "test_step", "make_train_function", "make_test_function", "fit", "evaluate"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            return f"model: {type(model).__name__} has a {name} of its own, which lanes do not call"
    return ""


class _Analysis:
    """The search for the numbers that can be inputs. Each attempt that fails makes some numbers constants.

    Args:
        blueprint: the representative's model.
        batches: a few batches of its training rows.
        constants: numbers that are known not to be inputs.

    Attributes:
        plain_keys: numbers that Keras can only take as traced arrays, not as symbols.
    """

    def __init__(
        self, blueprint: Blueprint, batches: Sequence[tuple[Any, ...]], constants: frozenset[ConfigPath]
    ) -> None:
        self.blueprint, self.batches, self.constants = blueprint, batches, constants
        self.plain_keys: frozenset[ConfigPath] = frozenset()
        self._numbers = numbers_of(blueprint.prepared.experiment)

    def run(self) -> Structure:
        """Tries with fewer and fewer numbers as inputs until the results are the same."""
        structure = None
        while structure is None:
            structure = self._attempt({key: each for key, each in self._numbers.items() if key not in self.constants})
        return structure

    def _attempt(self, numbers: _Numbers) -> Structure | None:
        """Tries these numbers as inputs. Returns None after it has made some of them constants or plain arrays."""
        try:
            probe = self._build_probe(numbers)
        except Exception:
            if not numbers:
                raise
            self._make_constant([key for key in numbers if not self._builds({key: numbers[key]})], numbers)
            return None
        try:
            structure = self._compare(probe, numbers)
        except _UnresolvedError as error:
            self._drop_unresolved(error, numbers)
        except UntraceableError as error:
            self._make_constant(error.keys & set(numbers), numbers)
        except Exception as error:
            if not numbers:
                blueprint = self.blueprint
                experiment = blueprint.prepared.experiment
                why = why_untraceable(experiment, blueprint.model, self.batches[0], error)
                raise NotFusableError(why) from error
            self._drop_untraceable(probe, numbers)
        else:
            if structure is None:
                self._drop_wrong(numbers)
            return structure
        return None

    def _make_constant(self, keys: Collection[ConfigPath], numbers: _Numbers) -> None:
        """Makes some of the numbers constants, or all of them if it is not known which."""
        self.constants |= frozenset(keys or numbers)

    def _build_probe(self, numbers: _Numbers) -> Blueprint:
        """Builds the model with other values of these numbers, and with another seed."""
        prepared = self.blueprint.prepared
        seed = (prepared.experiment.seed + 7919) % 2**31
        experiment = replace(with_numbers(prepared.experiment, probe_numbers(numbers)), seed=seed)
        return build_blueprint(replace(prepared, experiment=experiment), self.batches[0])

    def _builds(self, numbers: _Numbers) -> bool:
        try:
            self._build_probe(numbers)
        except Exception:
            return False
        return True

    def _drop_unresolved(self, error: _UnresolvedError, numbers: _Numbers) -> None:
        """Makes the unplaced numbers, and those that other values depend on, constants.

        If two builds of the same config differ too, only their difference is stored, as `blueprint.noise`: the next
        attempt takes it into account.
        """
        blueprint = self.blueprint
        if error.derived and blueprint.noise is None:
            blueprint.noise = self._derived({})
            if blueprint.noise:
                return
        if not numbers:
            raise NotFusableError(str(error)) from error
        derived = {key for key in numbers if error.derived and self._derived({key: numbers[key]})}
        self._make_constant(error.unplaced | derived, numbers)

    def _derived(self, numbers: _Numbers) -> int:
        """Returns how many values in the model depend on these numbers, not counting those that differ anyway."""
        try:
            self._locate(self._build_probe(numbers), numbers)
        except _UnresolvedError as error:
            return error.derived
        return 0

    def _drop_untraceable(self, probe: Blueprint, numbers: _Numbers) -> None:
        """Traces the numbers one by one: those that trace only as arrays become so, the others become constants."""
        plain, dropped = set(), set()
        for key in numbers:
            if self._traces(probe, numbers, key, self.plain_keys):
                continue
            if key not in self.plain_keys and self._traces(probe, numbers, key, self.plain_keys | {key}):
                plain.add(key)
            else:
                dropped.add(key)
        self.plain_keys |= plain
        if dropped or not plain:
            self._make_constant(dropped, numbers)

    def _traces(self, probe: Blueprint, numbers: _Numbers, key: ConfigPath, plain_keys: frozenset[ConfigPath]) -> bool:
        """Returns whether a training step can be traced with this number as an input."""
        import jax
        import numpy as np

        blueprint = self.blueprint
        bindings = [binding for binding in self._locate(probe, numbers)[0] if binding.key == key]
        lane = LaneFunctions(
            blueprint, bindings, plain_keys, ProgramInputs(self._numbers), blueprint.prepared.batch_size
        )

        def run(floats: Any, ints: Any, state: Any) -> Any:
            with lane.bound_to(floats, ints):
                return lane.run_steps(list(state), self.batches[:1])

        try:
            jax.eval_shape(run, np.zeros(FLOATS, np.float32), np.zeros(INTS, np.int32), blueprint.state())
        except Exception:
            return False
        return True

    def _drop_wrong(self, numbers: _Numbers) -> None:
        """Makes the numbers constants with which, one by one, the results differ.

        Raises:
            NotFusableError: the results differ without any input.
        """
        if not numbers:
            raise NotFusableError(
                "the model gives another result when its step is repeated with the same state; "
                "a component keeps state that Keras does not know of"
            )
        self._make_constant([key for key in numbers if not self._is_right({key: numbers[key]})], numbers)

    def _is_right(self, numbers: _Numbers) -> bool:
        try:
            return self._compare(self._build_probe(numbers), numbers) is not None
        except Exception:
            return False

    def _locate(self, probe: Blueprint, numbers: _Numbers) -> tuple[list[Binding], InitialState]:
        """Finds where the numbers are in the model, and how its variables start.

        Raises:
            _UnresolvedError: a number is in neither, or other values depend on some number.
        """
        blueprint, other = self.blueprint, numbers_of(probe.prepared.experiment)
        keys: dict[tuple[Any, Any], Any] = {}
        for position, pair in enumerate(zip(blueprint.seeds, probe.seeds, strict=False)):
            keys.setdefault(pair, position)
        for key, value in numbers.items():
            keys[value, other[key]] = key
        initial_state = InitialState(blueprint, probe, keys)
        bindings, derived = find_bindings(
            [blueprint.model], [probe.model], keys, without=blueprint.initializers.values()
        )
        bindings = [binding for binding in bindings if not isinstance(binding.key, int)]
        placed = {binding.key for binding in bindings} | initial_state.keys
        derived += initial_state.derived - (blueprint.noise or 0)
        if derived > 0 or not placed >= set(numbers):
            raise _UnresolvedError(frozenset(numbers) - placed, max(derived, 0))
        return bindings, initial_state

    def _compare(self, probe: Blueprint, numbers: _Numbers) -> Structure | None:
        """Returns the structure if the representative's program gives the probe's results; else None."""
        import numpy as np

        blueprint = self.blueprint
        if [v.shape for v in blueprint.variables] != [v.shape for v in probe.variables]:
            return None
        if probe.seeds != drawn_seeds(probe.prepared.experiment.seed, len(probe.seeds)):
            raise NotFusableError("a component draws from Python's random numbers in a way that depends on the config")
        bindings, initial_state = self._locate(probe, numbers)
        inputs = verified_inputs(blueprint, probe, bindings, self.plain_keys, self.batches)
        if inputs is None:
            return None
        others = {**self._numbers, **numbers_of(probe.prepared.experiment)}
        start = {**initial_state.constants(), **initial_state.values(others, probe.prepared.experiment.seed)}
        is_close = partial(np.allclose, rtol=1e-6, atol=1e-7, equal_nan=True)
        adapted = tuple(place for place, value in enumerate(probe.state()) if not is_close(start[place], value))
        fresh_inputs = ProgramInputs(self._numbers)
        fresh_inputs.branches.update(inputs.branches)
        return Structure(
            blueprint,
            self.constants,
            LaneFunctions(blueprint, bindings, self.plain_keys, fresh_inputs, blueprint.prepared.batch_size),
            initial_state,
            adapted,
            needs_rebuild=needs_rebuild(blueprint, adapted),
            shares_rows=depends_on_rows(blueprint),
            changeable=inputs.keys | _rate(blueprint),
        )


def _rate(blueprint: Blueprint) -> frozenset[ConfigPath]:
    """Returns the path of the learning rate if it is one of the optimizer's variables; else nothing."""
    rate = getattr(blueprint.model.optimizer, "_learning_rate", None)
    return frozenset({RATE} if any(rate is variable for variable in blueprint.variables) else ())

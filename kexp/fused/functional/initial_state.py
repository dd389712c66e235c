"""The first values of a model's variables for any trial of a structure, without building the trial's model.

Building a model calls its initializers. They are kept, with the places in which they hold a trial's numbers and seeds.
For another trial they are called again with its numbers and seeds. As in a single run, NumPy draws the values, on the
host.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.fused.functional.blueprint import drawn_seeds
from kexp.fused.inputs.bindings import Binding, find_bindings, substituted
from kexp.fused.inputs.config_numbers import ConfigPath
from kexp.fused.shared import TRACING_LOCK

if TYPE_CHECKING:
    from kexp.fused.functional.blueprint import Blueprint

__all__ = ["InitialState"]

_CACHE_BYTES = 32 * 2**20  # the most memory for values that trials of the same seed share

_Keys = Mapping[tuple[Any, Any], Any]  # (value in one build, in another) -> the number's path, or the seed's position


class InitialState:
    """The first values of a blueprint's variables, as a function of a trial's numbers and seed.

    Args:
        blueprint: the built model.
        probe: the same model, built with other numbers and another seed.
        keys: (value in the blueprint, value in the probe) -> the config path of a number, or the position of a seed
            among those that a build draws.

    Attributes:
        keys: the numbers that some first value depends on.
        derived: how many attributes of initializers were computed from numbers.
        varying: the positions in `Blueprint.variables` of those whose first value is not the same for all trials.
    """

    def __init__(self, blueprint: Blueprint, probe: Blueprint, keys: _Keys) -> None:
        self.blueprint = blueprint
        self._numbers, self._seeds = _direct_values(blueprint, probe, keys)
        self._initializers: dict[int, Any] = {}
        self._bindings: list[Binding] = []
        self.derived = 0
        seen: dict[int, list[Binding]] = {}
        for position, (variable, other) in enumerate(zip(blueprint.variables, probe.variables, strict=False)):
            initializer = blueprint.initializers.get(id(variable))
            if initializer is None or position in self._numbers or position in self._seeds:
                continue
            if id(initializer) not in seen:
                seen[id(initializer)], derived = find_bindings([initializer], [probe.initializers.get(id(other))], keys)
                self._bindings += seen[id(initializer)]
                self.derived += derived
            if seen[id(initializer)]:
                self._initializers[position] = initializer
        bound = {binding.key for binding in self._bindings if not isinstance(binding.key, int)}
        self.keys = bound | set(self._numbers.values())
        self.varying = tuple(sorted([*self._numbers, *self._seeds, *self._initializers]))
        # A closure's variable may belong to a layer too, and a trace then replaces it by a symbol.
        in_closure = any(binding.kind == "cell" for binding in self._bindings)
        self._lock = TRACING_LOCK if in_closure else threading.RLock()
        self._cache: dict[tuple[Any, ...], dict[int, Any]] = {}

    def values(self, numbers: Mapping[ConfigPath, Any], seed: int) -> dict[int, Any]:
        """Returns a trial's first values of the variables in `varying`, by position. They must not be written to.

        Args:
            numbers: the trial's numbers.
            seed: the experiment's seed.
        """
        import numpy as np

        seeds = drawn_seeds(seed, len(self.blueprint.seeds))
        direct: dict[int, Any] = {position: numbers[key] for position, key in self._numbers.items()}
        direct |= {position: [seeds[drawn], 0] for position, drawn in self._seeds.items()}
        variables = self.blueprint.variables
        found = {position: np.asarray(value, _dtype(variables[position])) for position, value in direct.items()}
        return found | self._initialized(numbers, seeds)

    def _initialized(self, numbers: Mapping[ConfigPath, Any], seeds: Sequence[int]) -> dict[int, Any]:
        """Calls the initializers. Trials with the same numbers and seeds in them share the result."""
        import jax
        import keras
        import numpy as np

        from kexp.training.process.initial_values import numpy_draws

        def value_of(key: Any) -> Any:
            return seeds[key] if isinstance(key, int) else numbers[key]

        arguments = tuple(value_of(binding.key) for binding in self._bindings)
        with self._lock:
            if arguments in self._cache:
                return self._cache[arguments]
            variables, found = self.blueprint.variables, {}
            with (
                substituted(self._bindings, value_of),
                numpy_draws(),
                keras.StatelessScope(),  # so that this trial does not change the state of an initializer's generator
                jax.default_device(_cpu_device()),
            ):
                for position, initializer in self._initializers.items():
                    variable = variables[position]
                    found[position] = np.asarray(initializer(variable.shape, dtype=variable._dtype), _dtype(variable))
            if (1 + len(self._cache)) * sum(value.nbytes for value in found.values()) > _CACHE_BYTES:
                self._cache.clear()
            self._cache[arguments] = found
            return found

    def constants(self) -> dict[int, Any]:
        """Returns the first values of the variables that are not in `varying`, by position."""
        import keras
        import numpy as np

        from kexp.training.process.initial_values import numpy_draws

        found = {}
        with numpy_draws(), keras.StatelessScope():
            for position, variable in enumerate(self.blueprint.variables):
                if position in self.varying:
                    continue
                initializer = self.blueprint.initializers.get(id(variable))
                if initializer is None:
                    value = self.blueprint.values[id(variable)]
                else:
                    value = initializer(variable.shape, dtype=variable._dtype)
                found[position] = np.asarray(value, _dtype(variable))
        return found


def _direct_values(blueprint: Blueprint, probe: Blueprint, keys: _Keys) -> tuple[dict[int, ConfigPath], dict[int, int]]:
    """Finds variables whose first value is a number (the learning rate), and generators that start from a seed.

    Returns:
        Position of the variable -> the number's config path; position of the generator's state -> the seed's position.
    """
    import numpy as np

    numbers, seeds = {}, {}
    for position, (variable, other) in enumerate(zip(blueprint.variables, probe.variables, strict=False)):
        first, second = np.asarray(variable.value), np.asarray(other.value)
        for (x, y), key in keys.items():
            if isinstance(key, int):
                if first.shape == (2,) and first.dtype.kind in "ui" and (int(first[0]), int(second[0])) == (x, y):
                    seeds[position] = key
            elif first.shape == () and id(variable) not in blueprint.initializers and _are_equal(first, second, x, y):
                numbers[position] = key
    return numbers, seeds


def _are_equal(first: Any, second: Any, x: Any, y: Any) -> bool:
    """Returns whether two scalar arrays equal two numbers, in the arrays' dtype."""
    if first.dtype.kind != ("i" if isinstance(x, int) else "f"):
        return False
    return bool(first == first.dtype.type(x) and second == second.dtype.type(y))


def _cpu_device() -> Any:
    import jax

    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX is restricted to another platform
        return jax.local_devices()[0]


def _dtype(variable: Any) -> Any:
    import jax.numpy as jnp

    return jnp.dtype(str(variable._dtype))

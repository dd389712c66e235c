"""How a lane begins: the variables that building its model would leave, made without building it.

The initializers that a build called are kept, with the places where a trial's numbers and drawn seeds stand in them.
Given another trial's, they are called again, on the host: as for a single run, the values come from NumPy.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.fused.functional.blueprint import drawn_seeds
from kexp.fused.inputs.bindings import Binding, bound, find_bindings
from kexp.fused.inputs.config_numbers import Key
from kexp.fused.shared import TRACING_LOCK

if TYPE_CHECKING:
    from kexp.fused.functional.blueprint import Blueprint

__all__ = ["InitialState"]

_KEPT_BYTES = 32 * 2**20  # of first values, for trials of the same seed

Names = Mapping[tuple[Any, Any], Any]  # values in two builds -> a number's key, or the position of a drawn seed


class InitialState:
    """The first values of a blueprint's variables, with its numbers and seeds as inputs.

    Args:
        blueprint: the built model.
        probe: the same, built with other numbers and another seed.
        names: what the pairs of numbers and of seeds in the two are called.

    Attributes:
        keys: the numbers that decide some first values.
        derived: how many attributes of initializers were worked out of numbers.
        varying: positions in the state whose first value is not the same for all trials.
    """

    def __init__(self, blueprint: Blueprint, probe: Blueprint, names: Names) -> None:
        self.blueprint = blueprint
        self._numbers, self._seeds = _plain(blueprint, probe, names)
        self._initializers: dict[int, Any] = {}
        self._places: list[Binding] = []
        self.derived = 0
        seen: dict[int, list[Binding]] = {}
        for position, (mine, other) in enumerate(zip(blueprint.variables, probe.variables, strict=False)):
            made_by = blueprint.initializers.get(id(mine))
            if made_by is None or position in self._numbers or position in self._seeds:
                continue
            if id(made_by) not in seen:
                seen[id(made_by)], derived = find_bindings([made_by], [probe.initializers.get(id(other))], names)
                self._places += seen[id(made_by)]
                self.derived += derived
            if seen[id(made_by)]:
                self._initializers[position] = made_by
        self.keys = {place.key for place in self._places if not isinstance(place.key, int)} | set(
            self._numbers.values()
        )
        self.varying = tuple(sorted([*self._numbers, *self._seeds, *self._initializers]))
        # A variable of a function may be a layer's as well, which a trace then fills with a symbol.
        shared = any(place.kind == "cell" for place in self._places)
        self._alone = TRACING_LOCK if shared else threading.RLock()
        self._kept: dict[tuple[Any, ...], dict[int, Any]] = {}

    def values(self, numbers: Mapping[Key, Any], seed: int) -> dict[int, Any]:
        """A trial's first values, by position in the state, of those that vary. They are not to be written to.

        Args:
            numbers: the trial's.
            seed: of its experiment.
        """
        import numpy as np

        drawn = drawn_seeds(seed, len(self.blueprint.seeds))
        plain: dict[int, Any] = {position: numbers[key] for position, key in self._numbers.items()}
        plain |= {position: [drawn[place], 0] for position, place in self._seeds.items()}
        variables = self.blueprint.variables
        found = {place: np.asarray(value, _dtype(variables[place])) for place, value in plain.items()}
        return found | self._initialized(numbers, drawn)

    def _initialized(self, numbers: Mapping[Key, Any], drawn: Sequence[int]) -> dict[int, Any]:
        """What the initializers make. Trials that give them the same numbers and seeds share it."""
        import jax
        import keras
        import numpy as np

        from kexp.training.process.initial_values import numpy_draws

        def value_of(key: Any) -> Any:
            return drawn[key] if isinstance(key, int) else numbers[key]

        inputs = tuple(value_of(place.key) for place in self._places)
        with self._alone:
            if inputs in self._kept:
                return self._kept[inputs]
            variables, found = self.blueprint.variables, {}
            with (
                bound(self._places, value_of),
                numpy_draws(),
                keras.StatelessScope(),  # an initializer's own generator must not keep what this trial makes of it
                jax.default_device(_host()),
            ):
                for position, made_by in self._initializers.items():
                    variable = variables[position]
                    found[position] = np.asarray(made_by(variable.shape, dtype=variable._dtype), _dtype(variable))
            if (1 + len(self._kept)) * sum(value.nbytes for value in found.values()) > _KEPT_BYTES:
                self._kept.clear()
            self._kept[inputs] = found
            return found

    def constants(self) -> dict[int, Any]:
        """The first values, by position in the state, of those that do not vary."""
        import keras
        import numpy as np

        from kexp.training.process.initial_values import numpy_draws

        found = {}
        with numpy_draws(), keras.StatelessScope():
            for position, variable in enumerate(self.blueprint.variables):
                if position in self.varying:
                    continue
                made_by = self.blueprint.initializers.get(id(variable))
                if made_by is None:
                    value = self.blueprint.values[id(variable)]
                else:
                    value = made_by(variable.shape, dtype=variable._dtype)
                found[position] = np.asarray(value, _dtype(variable))
        return found


def _plain(blueprint: Blueprint, probe: Blueprint, names: Names) -> tuple[dict[int, Key], dict[int, int]]:
    """Variables that start as a number (the learning rate), and generators' states that start as a seed."""
    import numpy as np

    numbers, seeds = {}, {}
    for position, (mine, other) in enumerate(zip(blueprint.variables, probe.variables, strict=False)):
        first, second = np.asarray(mine.value), np.asarray(other.value)
        for (x, y), name in names.items():
            if isinstance(name, int):
                if first.shape == (2,) and first.dtype.kind in "ui" and (int(first[0]), int(second[0])) == (x, y):
                    seeds[position] = name
            elif first.shape == () and id(mine) not in blueprint.initializers and _are(first, second, x, y):
                numbers[position] = name
    return numbers, seeds


def _are(first: Any, second: Any, x: Any, y: Any) -> bool:
    """Whether two scalar arrays are two numbers, in the arrays' type."""
    if first.dtype.kind != ("i" if isinstance(x, int) else "f"):
        return False
    return bool(first == first.dtype.type(x) and second == second.dtype.type(y))


def _host() -> Any:
    import jax

    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX was told to use another platform alone
        return jax.local_devices()[0]


def _dtype(variable: Any) -> Any:
    import jax.numpy as jnp

    return jnp.dtype(str(variable._dtype))

"""A model built once, with a record of how every variable got its first value: what lanes are made from.

Keras draws the seeds of initializers and dropout from Python's generator, one after the other, so that the seeds of any
other trial are known without building it. The recorded initializers, given those seeds, make its initial weights.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kexp.experiment import Prepared, build_compiled, inherited_variables
from kexp.fused.inputs.config_numbers import with_numbers
from kexp.training.process.initial_values import numpy_draws

if TYPE_CHECKING:
    import keras

__all__ = ["Blueprint", "build_blueprint", "drawn_seeds", "prepared_with_numbers"]


@dataclass
class Blueprint:
    """A compiled model with everything built, and its variables' origins.

    Attributes:
        prepared: the trial it was built for.
        model: compiled, its metrics and optimizer built.
        initializers: by the variable's id: the initializer that was called for it.
        values: by the variable's id: the value it was created with, where no initializer was.
        seeds: what was drawn from Python's generator, in order.
        metrics: the metrics variables' values after a reset.
        noise: how many numbers of the model differ at each build of the same config: a counter, the time of day. None
            until it is asked.
    """

    prepared: Prepared
    model: keras.Model
    initializers: dict[int, Any] = field(default_factory=dict)
    values: dict[int, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    noise: int | None = None

    @cached_property
    def variables(self) -> list[keras.Variable]:
        """The state of a training: trainable, non-trainable and the optimizer's variables."""
        model = self.model
        return [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]

    @cached_property
    def parts(self) -> tuple[int, int]:
        """Where non-trainable and where optimizer variables begin in `variables`."""
        trainable = len(self.model.trainable_variables)
        return trainable, trainable + len(self.model.non_trainable_variables)

    def state(self) -> list[Any]:
        """The variables' present values."""
        import numpy as np

        return [np.array(variable.value) for variable in self.variables]


def build_blueprint(prepared: Prepared, batch: tuple[Any, ...]) -> Blueprint:
    """Builds a trial's model as a single run does, and records.

    Args:
        prepared: the trial.
        batch: one batch of its training rows.

    Raises:
        ConfigError: as for a single run.
    """
    initializers: dict[int, Any] = {}
    values: dict[int, Any] = {}
    seeds: list[int] = []
    with _recorded(initializers, values, seeds), numpy_draws():
        model = build_compiled(prepared)
        model._symbolic_build(data_batch=batch)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    import numpy as np

    for variable in inherited_variables(
        prepared.experiment, prepared.earlier, model
    ):  # read from a file, whatever initializer was called before
        values[id(variable)] = np.array(variable.value)
        initializers.pop(id(variable), None)
    model.reset_metrics()
    metrics = [np.array(variable.value) for variable in model.metrics_variables]
    values = {key: value for key, value in values.items() if key not in initializers}
    return Blueprint(prepared, model, initializers, values, seeds, metrics)


def drawn_seeds(seed: int, count: int) -> list[int]:
    """What a build with this seed draws."""
    generator = random.Random(seed)
    return [generator.randint(1, int(1e9)) for _ in range(count)]


def prepared_with_numbers(prepared: Prepared, values: Mapping[Any, Any], seed: int | None = None) -> Prepared:
    """The trial with other numbers, and another seed for everything but the split."""
    experiment = with_numbers(prepared.experiment, values)
    if seed is not None:
        experiment = replace(experiment, seed=seed)
    return replace(prepared, experiment=experiment)


@contextmanager
def _recorded(initializers: dict[int, Any], values: dict[int, Any], seeds: list[int]) -> Iterator[None]:
    """Notes seeds that are drawn and variables that are created."""
    import keras
    from keras.src.random import seed_generator

    kind: Any = keras.Variable
    from_initializer, from_value, drawn_from = (
        kind._initialize_with_initializer,
        kind._initialize,
        seed_generator.python_random,
    )

    def initialize_with_initializer(self: Any, initializer: Any) -> None:
        initializers[id(self)] = initializer
        from_initializer(self, initializer)

    def initialize(self: Any, value: Any) -> None:
        values[id(self)] = value
        from_value(self, value)

    class Draws:
        @staticmethod
        def randint(low: int, high: int) -> int:
            seeds.append(drawn_from.randint(low, high))
            return seeds[-1]

    kind._initialize_with_initializer, kind._initialize = initialize_with_initializer, initialize
    seed_generator.python_random = Draws
    try:
        yield
    finally:
        kind._initialize_with_initializer, kind._initialize = from_initializer, from_value
        seed_generator.python_random = drawn_from

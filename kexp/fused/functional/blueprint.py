"""A model that is built once for many trials, with a record of how each variable got its first value.

While a model is built, Keras draws the seeds of initializers and dropout from Python's generator, one after the other.
The seeds of any other trial are therefore known without building its model, and the recorded initializers, called with
those seeds, give its initial weights.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kexp.experiment import Prepared, build_compiled, inherited_variables
from kexp.training.checkpoints.state import build_optimizer
from kexp.training.process.initial_values import numpy_draws

if TYPE_CHECKING:
    import keras

__all__ = ["Blueprint", "build_blueprint", "drawn_seeds"]


@dataclass
class Blueprint:
    """A compiled model with everything built, and the origin of each variable's first value.

    Attributes:
        prepared: the trial for which the model was built, the representative of its structure.
        model: compiled; its metrics and its optimizer are built.
        initializers: id of a variable -> the initializer that was called for it.
        values: id of a variable without an initializer -> the value with which it was created.
        seeds: the seeds that the build drew from Python's generator, in order.
        metrics: the values of the metrics' variables after a reset.
        noise: how many numbers of the model differ between two builds of the same config, such as a counter or the
            time of day; None until `analyse` counts them.
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
        """The state of a training: the trainable, the non-trainable and the optimizer's variables, in this order."""
        model = self.model
        return [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]

    @cached_property
    def boundaries(self) -> tuple[int, int]:
        """The positions in `variables` of the first non-trainable and of the first optimizer variable."""
        trainable = len(self.model.trainable_variables)
        return trainable, trainable + len(self.model.non_trainable_variables)

    @property
    def non_trainable(self) -> slice:
        """The positions in `variables` of the non-trainable variables."""
        return slice(*self.boundaries)

    def state(self) -> list[Any]:
        """Returns the current values of `variables`, as NumPy arrays."""
        import numpy as np

        return [np.array(variable.value) for variable in self.variables]


def build_blueprint(prepared: Prepared, batch: tuple[Any, ...]) -> Blueprint:
    """Builds a trial's model as a single run does, and records seeds, initializers and first values.

    Args:
        prepared: the trial.
        batch: one batch of its training rows.

    Raises:
        ConfigError: the model cannot be built; as for a single run.
    """
    initializers: dict[int, Any] = {}
    values: dict[int, Any] = {}
    seeds: list[int] = []
    with _recording(initializers, values, seeds), numpy_draws():
        model = build_compiled(prepared)
        model._symbolic_build(data_batch=batch)
        build_optimizer(model)
    import numpy as np

    # These were read from a file, after their initializers were called.
    for variable in inherited_variables(prepared.experiment, prepared.earlier, model):
        values[id(variable)] = np.array(variable.value)
        initializers.pop(id(variable), None)
    model.reset_metrics()
    metrics = [np.array(variable.value) for variable in model.metrics_variables]
    values = {key: value for key, value in values.items() if key not in initializers}
    return Blueprint(prepared, model, initializers, values, seeds, metrics)


def drawn_seeds(seed: int, count: int) -> list[int]:
    """Returns the first `count` seeds that a build draws from Python's generator, for an experiment's seed."""
    generator = random.Random(seed)
    return [generator.randint(1, int(1e9)) for _ in range(count)]


@contextmanager
def _recording(initializers: dict[int, Any], values: dict[int, Any], seeds: list[int]) -> Iterator[None]:
    """Records the seeds that are drawn and the variables that are created within the block."""
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

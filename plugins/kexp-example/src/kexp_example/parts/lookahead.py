"""The Lookahead optimizer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["Lookahead"]


@keras.saving.register_keras_serializable("kexp_example")
class Lookahead(keras.optimizers.SGD):  # type: ignore[misc]
    """SGD that every `k` steps moves slow weights by `alpha` of the way to the fast ones, and goes on from there.

    slow <- slow + alpha (fast - slow); fast <- slow.
    """

    def __init__(self, learning_rate: Any = 0.01, *, k: int = 5, alpha: float = 0.5, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.k, self.alpha = k, alpha

    def build(self, variables: list[Any]) -> None:
        """Adds a slow copy of each variable."""
        if self.built:
            return
        super().build(variables)
        self.slow = self.add_optimizer_variables(variables, "slow")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One fast step, and a slow one where it is due."""
        slow = self.slow[self._get_variable_index(variable)]
        step = ops.convert_to_tensor(self.iterations)
        # Training begins with slow weights that are the initial ones; as data, so that the step compiles once.
        begin = ops.where(ops.equal(step, 0), ops.convert_to_tensor(variable), ops.convert_to_tensor(slow))
        self.assign(slow, begin)
        super().update_step(gradient, variable, learning_rate)
        due = ops.equal(ops.mod(step + 1, self.k), 0)
        fast = ops.convert_to_tensor(variable)
        moved = begin + self.alpha * (fast - begin)
        self.assign(slow, ops.where(due, moved, begin))
        self.assign(variable, ops.where(due, moved, fast))

    def get_config(self) -> dict[str, Any]:
        """Keras' configuration, with k and alpha."""
        return {**super().get_config(), "k": self.k, "alpha": self.alpha}

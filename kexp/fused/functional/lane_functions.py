"""The training of one lane as pure functions: a step, an epoch, an evaluation.

A step is Keras' own `train_step` or `test_step` of the JAX trainer, and metrics are Keras' own objects, so a lane
computes what `fit` computes; only the loop around the steps is kexp's. As in `fit`, a smaller last batch is a step of
its own shape. Nothing is masked, so means and batch statistics are over the rows of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kexp.fused.functional.pooling import fast_pooling_gradient
from kexp.fused.inputs.bindings import Binding, substituted
from kexp.fused.inputs.symbols import ProgramInputs

if TYPE_CHECKING:
    from kexp.fused.functional.blueprint import Blueprint

__all__ = ["LaneFunctions", "Table"]


@dataclass(frozen=True)
class Table:
    """The data on the device, one copy for all lanes.

    Attributes:
        x: features, shape (rows, *features).
        y: targets, shape (rows, *targets).
        labels: class indices, shape (rows,); None without class weights.
        sample_weights: the weight of each row, shape (rows,); None if all rows count alike.
    """

    x: Any
    y: Any
    labels: Any = None
    sample_weights: Any = None

    def batch(self, rows: Any, class_weights: Any) -> tuple[Any, ...]:
        """Returns a batch as Keras' steps take it: (x, y), or (x, y, weights) if not all rows count alike.

        Args:
            rows: row numbers, shape (batch,).
            class_weights: weight by class index, shape (classes,); None for none.
        """
        x, y = self.x[rows], self.y[rows]
        own = None if self.sample_weights is None else self.sample_weights[rows]
        if class_weights is None:
            return (x, y) if own is None else (x, y, own)
        weights = class_weights[self.labels[rows]]
        return x, y, weights if own is None else weights * own


class LaneFunctions:
    """The pure functions of a blueprint's model, with its numbers as inputs.

    In all of them, `state` is the values of `Blueprint.variables`, `metrics` the values of the metrics' variables,
    `floats` and `ints` the lane's inputs, `rows` row numbers of a table, shape (rows,), and `table` the fields of a
    `Table`.

    Args:
        blueprint: the built model.
        bindings: where the model holds its numbers.
        plain_keys: numbers that Keras gets as traced arrays instead of symbols.
        inputs: collects the inputs while a function is traced.
        batch_size: rows of a step.

    Attributes:
        train_names: the names of the metrics that `train_epoch` returns; empty until it is traced.
        eval_names: the same of `evaluate`.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        bindings: Sequence[Binding],
        plain_keys: frozenset[Any],
        inputs: ProgramInputs,
        batch_size: int,
    ) -> None:
        self.blueprint, self.model, self.inputs, self.batch_size = blueprint, blueprint.model, inputs, batch_size
        self.bindings, self.plain_keys = list(bindings), plain_keys
        self.train_names: list[str] = []
        self.eval_names: list[str] = []

    def train_block(
        self, state: Any, metrics: Any, floats: Any, ints: Any, class_weights: Any, rows: Any, table: Any
    ) -> tuple[Any, Any]:
        """Runs some steps of an epoch; returns the new state and metrics."""
        table = Table(*table)
        with self.bound_to(floats, ints):
            return self._scan(
                lambda s, m, taken: self.train_step(s, m, table.batch(taken, class_weights)), state, metrics, rows
            )

    def train_epoch(
        self, state: Any, metrics: Any, floats: Any, ints: Any, class_weights: Any, rows: Any, table: Any
    ) -> tuple[Any, Any]:
        """Runs the steps of an epoch, or its last steps.

        The metrics' variables are an input even at the start of an epoch. The compiler does not know their values, so
        it rounds in the same way whether steps came before or not.

        Returns:
            The new state, and the epoch's metrics by `train_names`, shape (metrics,).
        """
        state, metrics = self.train_block(state, metrics, floats, ints, class_weights, rows, table)
        return state, self.metric_results(metrics, self.train_names)

    def eval_block(self, state: Any, metrics: Any, floats: Any, ints: Any, rows: Any, table: Any) -> tuple[Any, Any]:
        """Runs some steps of an evaluation; returns the new state and metrics."""
        table = Table(*table)
        with self.bound_to(floats, ints):
            return self._scan(lambda s, m, taken: self.eval_step(s, m, table.batch(taken, None)), state, metrics, rows)

    def evaluate(self, state: Any, metrics: Any, floats: Any, ints: Any, rows: Any, table: Any) -> tuple[Any, Any]:
        """Runs the steps of an evaluation, or its last steps.

        Returns:
            The non-trainable variables, and the metrics by `eval_names`, shape (metrics,). An evaluation changes
            non-trainable variables too: a recurrent layer draws dropout masks in it, without using them, and the next
            epoch's masks follow.
        """
        state, metrics = self.eval_block(state, metrics, floats, ints, rows, table)
        return state[self.blueprint.non_trainable], self.metric_results(metrics, self.eval_names)

    def _scan(self, step: Callable[..., Any], state: Any, metrics: Any, rows: Any) -> tuple[Any, Any]:
        """Runs a step for each full batch of the rows, and one for the rest."""
        from jax import lax

        def one(carry: Any, taken: Any) -> tuple[Any, None]:
            return step(*carry, taken), None

        carry = (list(state), list(metrics))
        full, rest = divmod(rows.shape[0], self.batch_size)
        if full:
            carry, _ = lax.scan(one, carry, rows[: full * self.batch_size].reshape(full, self.batch_size))
        if rest:
            carry, _ = one(carry, rows[full * self.batch_size :])
        return carry

    def train_step(self, state: list[Any], metrics: list[Any], batch: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        """Runs one training step; returns the new state and metrics."""
        trainable, fixed = self.blueprint.boundaries
        parts = (state[:trainable], state[trainable:fixed], state[fixed:], metrics)
        with fast_pooling_gradient():
            _, (first, second, third, measured) = self.model.train_step(parts, batch)
        return _with_dtypes_of(state, [*first, *second, *third]), _with_dtypes_of(metrics, measured)

    def eval_step(self, state: list[Any], metrics: list[Any], batch: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        """Runs one step of an evaluation; returns the new state and metrics."""
        trainable, fixed = self.blueprint.boundaries
        _, (_, others, measured) = self.model.test_step((state[:trainable], state[trainable:fixed], metrics), batch)
        others = _with_dtypes_of(state[trainable:fixed], others)
        return [*state[:trainable], *others, *state[fixed:]], _with_dtypes_of(metrics, measured)

    def run_steps(self, state: list[Any], batches: Sequence[tuple[Any, ...]]) -> Any:
        """Runs a training step on each of a few batches of one size; returns the state and the metrics after them."""
        import jax.numpy as jnp
        from jax import lax

        def one(carry: Any, batch: Any) -> tuple[Any, None]:
            return self.train_step(carry[0], carry[1], batch), None

        stacked = tuple(jnp.stack(arrays) for arrays in zip(*batches, strict=True))
        # A convolution within a compiled loop takes a hundred times as long on a CPU.
        layers = [type(layer).__name__.lower() for layer in self.model._flatten_layers()]
        unroll = any("conv" in name for name in layers)
        (state, metrics), _ = lax.scan(one, (state, self.reset_metrics()), stacked, unroll=unroll)
        return state, self.metric_results(metrics, [])

    def bound_to(self, floats: Any, ints: Any) -> AbstractContextManager[None]:
        """Replaces the model's numbers by symbols of these inputs within the block, in which functions are traced."""
        self.inputs.bind(floats, ints)
        return substituted(self.bindings, self._traced_number)

    def _traced_number(self, key: Any) -> Any:
        number = self.inputs.number(key)
        return number.__jax_array__() if key in self.plain_keys else number

    def reset_metrics(self) -> list[Any]:
        """Returns the values of the metrics' variables before the first step."""
        import jax.numpy as jnp

        return [jnp.asarray(value) for value in self.blueprint.metrics]

    def metric_results(self, metrics: list[Any], names: list[str]) -> Any:
        """Computes the metrics from their variables.

        Args:
            metrics: the values of the metrics' variables.
            names: receives the metrics' names; a vector NAME becomes NAME_0, NAME_1, ..., as in
                `kexp.training.history.plain_numbers`.

        Returns:
            The metrics, float32, shape (metrics,).
        """
        import jax.numpy as jnp
        import keras

        mapping = list(zip(self.model.metrics_variables, metrics, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            results = self.model.get_metrics_result()
        flat: dict[str, Any] = {}
        for name, value in results.items():  # some metrics are a dict of results
            flat |= value if isinstance(value, dict) else {name: value}
        numbers = {
            f"{name}_{index}" if jnp.ndim(value) else name: each
            for name, value in flat.items()
            for index, each in enumerate(jnp.atleast_1d(value))
        }
        names[:] = list(numbers)
        return jnp.stack([jnp.asarray(each, jnp.float32) for each in numbers.values()])


def _with_dtypes_of(before: Sequence[Any], after: Sequence[Any]) -> list[Any]:
    """Returns `after` with the dtypes of `before`, not weakly typed: a loop's state must not change its dtype."""
    import jax.numpy as jnp
    from jax import lax

    return [
        lax.convert_element_type(jnp.asarray(new), jnp.dtype(str(old.dtype)))
        for old, new in zip(before, after, strict=True)
    ]

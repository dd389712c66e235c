"""One lane's training as pure functions: a step, an epoch, an evaluation.

Steps are Keras' own `train_step` and `test_step` of the JAX trainer, metrics are Keras' own objects, so that a lane
computes what `fit` computes; only the loop around the steps is ours. A last batch that is smaller is a step of its own
shape, as in `fit`: nothing is masked, so that means and batch statistics are over the rows there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kexp.fused.functional.pooling import fast_pooling_gradient
from kexp.fused.inputs.bindings import Binding, bound
from kexp.fused.inputs.symbols import ProgramInputs

if TYPE_CHECKING:
    from kexp.fused.functional.blueprint import Blueprint

__all__ = ["LaneFunctions", "Table"]


@dataclass(frozen=True)
class Table:
    """The data on the device, once for all lanes. A pytree.

    Attributes:
        x: features.
        y: targets.
        labels: class indices; None without class weights.
        counts: how much each row counts; None where all count alike.
    """

    x: Any
    y: Any
    labels: Any = None
    counts: Any = None

    def batch(self, rows: Any, weights: Any) -> tuple[Any, ...]:
        """Features, targets and, where not all count alike, weights of some rows: their own, times their class's."""
        if weights is None and self.counts is None:
            return self.x[rows], self.y[rows]
        if weights is None:
            return self.x[rows], self.y[rows], self.counts[rows]
        classes = weights[self.labels[rows]]
        return self.x[rows], self.y[rows], classes if self.counts is None else classes * self.counts[rows]


class LaneFunctions:
    """The pure functions of a blueprint's model, with its numbers as inputs.

    Args:
        blueprint: the built model.
        places: where its numbers stand.
        tracers: numbers to hand to Keras as plain arrays instead of symbols.
        slots: collects the inputs.
        batch_size: rows a step.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        places: Sequence[Binding],
        tracers: frozenset[Any],
        slots: ProgramInputs,
        batch_size: int,
    ) -> None:
        self.blueprint, self.model, self.slots, self.batch_size = blueprint, blueprint.model, slots, batch_size
        self.places, self.tracers = list(places), tracers
        self.train_names: list[str] = []
        self.eval_names: list[str] = []

    def block(
        self, state: Any, metrics: Any, floats: Any, ints: Any, weights: Any, rows: Any, table: Any
    ) -> tuple[Any, Any]:
        """Some steps of an epoch, over `rows` of a table; gives the new state and the metrics' new variables."""
        table = Table(*table)
        with self._numbers(floats, ints):
            return self._steps(lambda s, m, taken: self.step(s, m, table.batch(taken, weights)), state, metrics, rows)

    def epoch(
        self, state: Any, metrics: Any, floats: Any, ints: Any, weights: Any, rows: Any, table: Any
    ) -> tuple[Any, Any]:
        """The steps of an epoch, or the last of them; gives the new state and the metrics, shape (metrics,).

        The metrics' variables come in even where they are a new epoch's: to the compiler their values are unknown, so
        that it rounds alike whether there were steps before these or not.
        """
        state, metrics = self.block(state, metrics, floats, ints, weights, rows, table)
        return state, self._results(metrics, self.train_names)

    def evaluate_block(
        self, state: Any, metrics: Any, floats: Any, ints: Any, rows: Any, table: Any
    ) -> tuple[Any, Any]:
        """Some steps of an evaluation; arguments and results as of `block`."""
        table = Table(*table)
        with self._numbers(floats, ints):
            return self._steps(lambda s, m, taken: self.eval_step(s, m, table.batch(taken, None)), state, metrics, rows)

    def evaluate(self, state: Any, metrics: Any, floats: Any, ints: Any, rows: Any, table: Any) -> tuple[Any, Any]:
        """The steps of an evaluation, or the last of them.

        Returns:
            What is fixed of the state, as the evaluation leaves it, and the metrics, shape (metrics,). A recurrent
            layer draws its dropout when it is evaluated too, though it does not use it: the next epoch's follows.
        """
        state, metrics = self.evaluate_block(state, metrics, floats, ints, rows, table)
        return state[slice(*self.blueprint.parts)], self._results(metrics, self.eval_names)

    def _steps(self, step: Callable[..., Any], state: Any, metrics: Any, rows: Any) -> tuple[Any, Any]:
        """A step for each batch of the rows, a last one for what is left."""
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

    def eval_step(self, state: list[Any], metrics: list[Any], batch: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        """One step of an evaluation."""
        trainable, fixed = self.blueprint.parts
        _, (_, others, measured) = self.model.test_step((state[:trainable], state[trainable:fixed], metrics), batch)
        others = _like(state[trainable:fixed], others)
        return [*state[:trainable], *others, *state[fixed:]], _like(metrics, measured)

    def step(self, state: list[Any], metrics: list[Any], batch: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        """One training step."""
        trainable, fixed = self.blueprint.parts
        parts = (state[:trainable], state[trainable:fixed], state[fixed:], metrics)
        with fast_pooling_gradient():
            _, (first, second, third, measured) = self.model.train_step(parts, batch)
        return _like(state, [*first, *second, *third]), _like(metrics, measured)

    def measure(self, state: list[Any], metrics: list[Any], batches: Sequence[tuple[Any, ...]]) -> Any:
        """A few steps, for the check: the state and the metrics after them."""
        import jax.numpy as jnp
        from jax import lax

        def one(carry: Any, batch: Any) -> tuple[Any, None]:
            return self.step(carry[0], carry[1], batch), None

        together = tuple(jnp.stack(arrays) for arrays in zip(*batches, strict=True))
        # A convolution within a compiled loop takes a hundred times as long on a CPU.
        layers = [type(layer).__name__.lower() for layer in self.model._flatten_layers()]
        unroll = any("conv" in name for name in layers)
        (state, metrics), _ = lax.scan(one, (state, metrics), together, unroll=unroll)
        return state, self._results(metrics, [])

    def numbers(self, floats: Any, ints: Any) -> Any:
        """Symbols in their places while tracing."""
        return self._numbers(floats, ints)

    def _numbers(self, floats: Any, ints: Any) -> Any:
        self.slots.bind(floats, ints)
        return bound(self.places, self._number)

    def _number(self, key: Any) -> Any:
        number = self.slots.number(key)
        return number.__jax_array__() if key in self.tracers else number

    def _reset(self) -> list[Any]:
        import jax.numpy as jnp

        return [jnp.asarray(value) for value in self.blueprint.metrics]

    def _results(self, metrics: list[Any], names: list[str]) -> Any:
        import jax.numpy as jnp
        import keras

        mapping = list(zip(self.model.metrics_variables, metrics, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            results = self.model.get_metrics_result()
        flat: dict[str, Any] = {}
        for name, value in results.items():  # of some metrics a dict, which Keras' fit opens
            flat |= value if isinstance(value, dict) else {name: value}
        numbers = {  # named as `training.plain_numbers` names them
            f"{name}_{place}" if jnp.ndim(value) else name: each
            for name, value in flat.items()
            for place, each in enumerate(jnp.atleast_1d(value))
        }
        names[:] = list(numbers)
        return jnp.stack([jnp.asarray(each, jnp.float32) for each in numbers.values()])


def _like(before: Sequence[Any], after: Sequence[Any]) -> list[Any]:
    """`after` with the types of `before`: a loop's state may not change its type."""
    return [_strong(new, old.dtype) for old, new in zip(before, after, strict=True)]


def _strong(value: Any, dtype: Any) -> Any:
    """An array of exactly this type, not weakly typed."""
    import jax.numpy as jnp
    from jax import lax

    return lax.convert_element_type(jnp.asarray(value), jnp.dtype(str(dtype)))


LaneFunction = Callable[..., Any]

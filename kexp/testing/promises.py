"""The promises of each group's components beyond their class, and the results of a built component."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kexp.schema import Experiment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kexp.data import Data

__all__ = ["check_promises", "values_of"]

_ROWS = 7
_SHAPE = (6, 5)


def check_promises(group: str, made: Any, experiment: Experiment) -> None:
    """Checks a built object against its group's promises.

    Args:
        group: the component's group.
        made: the result of `build_staged`.
        experiment: the experiment around it.

    Raises:
        AssertionError: a promise is broken; the message names it.
    """
    if group == "loss" and not _is_of_keras(experiment.loss):
        _check_loss(made, experiment)
    elif group == "data":
        _check_data(made, experiment)
    elif group == "initializer":
        _check_initializer(experiment)


def values_of(group: str, made: Any, experiment: Experiment) -> dict[str, Any]:
    """Returns the results of a built object for fixed inputs.

    Args:
        group: the component's group.
        made: the result of `build_staged`.
        experiment: the experiment around it.

    Returns:
        Name -> value; empty for a group whose components are compared by their settings alone.
    """
    import keras
    import numpy as np

    def plain(values: Any) -> NDArray[Any]:
        return np.array(keras.ops.convert_to_numpy(values))

    table = np.random.default_rng(5).normal(size=_SHAPE).astype(np.float32)
    found: dict[str, Any] = {}
    if group == "loss":
        found["its values"] = plain(_function(made)(*_rows_for(experiment)))
    elif group == "metrics" and hasattr(made[0], "update_state"):
        made[0].update_state(*_rows_for(experiment))
        found["its result"] = plain(made[0].result())
    elif group == "data":
        found = {"its rows": len(made), "its content": made.digest[:12], "its splits": made.splits}
    elif group == "activation":
        activation = made if isinstance(made, str) else made()
        called = keras.activations.get(activation) if isinstance(activation, str) else activation
        found["its values"] = plain(called(keras.ops.convert_to_tensor(table)))
    elif group == "schedule":
        made.build([keras.Variable(table)])
        for step in (0, 1, 5):
            made.iterations.assign(step)
            found[f"its rate at step {step}"] = float(plain(made.learning_rate))
    return found


def _is_of_keras(node: Any) -> bool:
    return node is not None and node.component.target.startswith("keras.")


def _function(loss: Any) -> Callable[..., Any]:
    """Returns the function that computes a loss by row, before Keras takes the mean."""
    import keras

    if isinstance(loss, str):
        return keras.losses.get(loss)  # type: ignore[no-any-return]
    return loss.call if isinstance(loss, keras.losses.Loss) else loss  # type: ignore[no-any-return]


def _rows_for(experiment: Experiment) -> tuple[Any, Any]:
    """Returns targets and model outputs of a few rows, in the form that the loss takes."""
    import keras
    import numpy as np

    from kexp.experiment import prepare

    prepared = prepare(experiment)
    rows = np.arange(min(_ROWS, len(prepared.splits.train)), dtype=np.intp)
    targets = np.asarray(prepared.splits.train.batch(rows)[1])
    spec = prepared.spec
    scores = np.random.default_rng(5).normal(size=(len(rows), *spec.positions, spec.units)).astype(np.float32)
    outputs = keras.activations.get(spec.output_activation)(keras.ops.convert_to_tensor(scores))
    return keras.ops.convert_to_tensor(targets), outputs


def _check_loss(made: Any, experiment: Experiment) -> None:
    """Checks that a loss returns one value per row, so that class weights and row weights apply."""
    targets, outputs = _rows_for(experiment)
    shape = tuple(_function(made)(targets, outputs).shape)
    assert shape[:1] == (len(outputs),), (
        f"a loss must return one value per row, shape ({len(outputs)},), and leave the mean to Keras, or weights of "
        f"rows and classes have no effect; got the shape {shape}"
    )


def _check_data(data: Data, experiment: Experiment) -> None:
    """Checks that data has as many rows as its length, equal at each reading and in any order, and disjoint splits."""
    import numpy as np

    from kexp.experiment import prepare

    splits = prepare(experiment, data).splits
    known = {name: len(part) for name, part in splits.parts.items()}
    assert sum(known.values()) <= len(data), f"its splits must share no row, got {known} of {len(data)} rows"
    assert all(known.values()), f"each split must have rows, got {known}"
    assert len(data.targets) == len(data), f"must have one target per row, got {len(data.targets)} of {len(data)}"
    part, count = splits.train, min(len(splits.train), 64)
    order = np.random.default_rng(5).permutation(count).astype(np.intp)
    first = part.batch(np.arange(count, dtype=np.intp))
    again, mixed = part.batch(np.arange(count, dtype=np.intp)), part.batch(order)
    for name, one, two, three in zip(("features", "targets"), first, again, mixed, strict=False):
        assert len(one) == count, f"must return {name} of as many rows as requested, got {len(one)} for {count}"
        assert np.array_equal(one, two), f"must return the same {name} each time a row is read"
        assert np.array_equal(np.asarray(one)[order], three), f"must return the same {name} in any order of rows"
    shape = splits.spec.feature_shape
    assert tuple(np.shape(first[0])[1:]) == tuple(shape), f"must have rows of its declared shape {shape}"


def _check_initializer(experiment: Experiment) -> None:
    """Checks that equal seeds give equal values; the parameter `seed`, if there is one, takes precedence."""
    import numpy as np

    first, again = _drawn(experiment, 3), _drawn(experiment, 3)
    assert np.array_equal(first, again), (
        "must return the same values for the same seed, got others: draw with keras.random and a seed, Keras' "
        "initializers or NumPy's global generator"
    )
    node = experiment.model.parameters["kernel_initializer"]
    if isinstance(node, dict) and "seed" in node:
        fixed = [_drawn(experiment, seed, 11) for seed in (3, 4)]
        moved = _drawn(experiment, 3, 12)
        assert np.array_equal(fixed[0], fixed[1]), "must return the same values for the same parameter seed"
        assert not np.array_equal(fixed[0], moved), "must return other values for another parameter seed"


def _drawn(experiment: Experiment, seed: int, own: int | None = None) -> NDArray[Any]:
    import keras
    import numpy as np

    from kexp.build import build
    from kexp.schema import component_node
    from kexp.training.process.initial_values import initial_values

    node = experiment.model.parameters["kernel_initializer"]
    if own is not None:
        node = {**node, "seed": own}
    with initial_values(seed):
        made = build(component_node("initializer", node, "initializer"))
        return np.array(keras.ops.convert_to_numpy(made((5, 5))))

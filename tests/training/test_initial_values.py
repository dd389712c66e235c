"""Initial values are one generator's on every backend, and distributed as Keras' formulae say."""

from __future__ import annotations

import inspect
import math
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import started
from scipy import stats

from kexp import initial_values

SHAPE = (300, 400)
FAN_IN, FAN_OUT = SHAPE
STARTED = Path(started.__file__)


def drawn(initializer: Any, shape: tuple[int, ...] = SHAPE, seed: int = 3) -> Any:
    with initial_values(seed):
        made = initializer() if inspect.isclass(initializer) else initializer
        return keras.ops.convert_to_numpy(made(shape))


def truncated(deviation: float, mean: float = 0.0) -> Any:
    return stats.truncnorm(-2, 2, mean, deviation)


def scaled(variance: float) -> Any:
    """Keras corrects for what the cut takes from the variance."""
    return truncated(math.sqrt(variance) / 0.87962566103423978)


def within(limit: float) -> Any:
    return stats.uniform(-limit, 2 * limit)


@pytest.mark.parametrize(
    ("initializer", "expected"),
    [
        (keras.initializers.RandomNormal(0.5, 2.0), stats.norm(0.5, 2.0)),
        (keras.initializers.RandomUniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
        (keras.initializers.TruncatedNormal(0.5, 2.0), truncated(2.0, 0.5)),
        (keras.initializers.GlorotUniform, within(math.sqrt(6 / (FAN_IN + FAN_OUT)))),
        (keras.initializers.HeUniform, within(math.sqrt(6 / FAN_IN))),
        (keras.initializers.LecunUniform, within(math.sqrt(3 / FAN_IN))),
        (keras.initializers.GlorotNormal, scaled(2 / (FAN_IN + FAN_OUT))),
        (keras.initializers.HeNormal, scaled(2 / FAN_IN)),
        (keras.initializers.LecunNormal, scaled(1 / FAN_IN)),
        (
            keras.initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal"),
            stats.norm(0, math.sqrt(3 / FAN_OUT)),
        ),
    ],
)
def test_values_are_distributed_as_the_initializers_formula_says(initializer: Any, expected: Any) -> None:
    values = drawn(initializer)
    assert values.dtype == np.float32
    assert stats.kstest(values.ravel().astype(float), expected.cdf).pvalue > 0.001
    assert expected.support()[0] <= values.min() and values.max() <= expected.support()[1]


def test_values_are_independent_of_their_neighbours_and_of_other_seeds() -> None:
    values, other = drawn(keras.initializers.RandomNormal), drawn(keras.initializers.RandomNormal, seed=4)
    for a, b in ((values[:, 1:], values[:, :-1]), (values[1:], values[:-1]), (values, other)):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / math.sqrt(a.size)


@pytest.mark.parametrize("shape", [(40, 40), (60, 20), (20, 60), (3, 3, 4, 8)])
def test_orthogonal_matrices_are_orthogonal(shape: tuple[int, ...]) -> None:
    values = drawn(keras.initializers.Orthogonal(gain=2.0, seed=3), shape)
    flat = values.reshape(-1, shape[-1]).astype(float)
    product = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_every_layer_of_keras_that_draws_its_weights_is_compared() -> None:
    compared = {getattr(keras.layers, name) for name in (*started.LAYERS, *started.WRAPPED)}
    assert started.layers_of_keras() <= compared


def test_weights_are_the_same_on_jax_and_on_tensorflow(tmp_path: Path) -> None:
    file = tmp_path / "weights.npz"
    subprocess.run([sys.executable, STARTED, "jax", file], check=True, timeout=300)
    here, there = started.weights(), np.load(file)
    assert set(here) == set(there)
    for name, values in here.items():
        np.testing.assert_allclose(values, there[name], rtol=1e-6, atol=1e-7, err_msg=name)


def test_values_do_not_depend_on_what_was_drawn_before_or_is_drawn_beside() -> None:
    first = drawn(keras.initializers.HeNormal)
    random.random()
    keras.random.normal((5,))
    np.random.random(5)
    others = [threading.Thread(target=drawn, args=(keras.initializers.GlorotNormal,)) for _ in range(2)]
    for each in others:
        each.start()
    np.testing.assert_array_equal(drawn(keras.initializers.HeNormal), first)
    for each in others:
        each.join()


def test_an_initializers_own_seed_decides_its_values_whatever_the_experiments() -> None:
    values = [drawn(keras.initializers.HeNormal(seed=7), seed=seed) for seed in (1, 2)]
    np.testing.assert_array_equal(*values)
    wider = (
        drawn(keras.initializers.RandomNormal(stddev=3.0, seed=7)),
        drawn(keras.initializers.RandomNormal(stddev=1.0, seed=7)),
    )
    np.testing.assert_allclose(wider[0], 3 * wider[1], rtol=1e-6)


def test_outside_and_in_what_is_traced_the_backend_draws() -> None:
    import tensorflow as tf

    expected = tf.random.stateless_normal((4,), [7, 0]).numpy()
    np.testing.assert_array_equal(keras.random.normal((4,), seed=7), expected)
    generator = keras.random.SeedGenerator(7)
    with initial_values(3):
        assert not np.array_equal(keras.random.normal((4,), seed=7), expected)
        traced = tf.function(lambda: keras.random.normal((4,), seed=generator))
        np.testing.assert_array_equal(traced(), expected)
    np.testing.assert_array_equal(keras.random.normal((4,), seed=7), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_values_of_another_type_are_the_same_rounded(dtype: str) -> None:
    with initial_values(3):
        values = keras.ops.cast(keras.initializers.HeNormal(seed=1)(SHAPE, dtype=dtype), "float32")
    np.testing.assert_allclose(values, drawn(keras.initializers.HeNormal(seed=1)), rtol=1e-2, atol=1e-6)


def test_a_script_gets_the_weights_of_an_experiment() -> None:
    from kexp.config import compose, plain
    from kexp.experiment import build_compiled, prepare
    from kexp.schema import check

    layers = "{name: Dense, units: 32, kernel_initializer: {name: he_normal}}, {name: Dropout, rate: 0.1}"
    overrides = ["data=iris", "model=sequential", f"model.layers=[{layers}]", "seed=3", "tracking=none"]
    experiment = build_compiled(prepare(check(plain(compose(overrides)))))
    with initial_values(3):
        script = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(32, kernel_initializer=keras.initializers.HeNormal()),
                keras.layers.Dropout(0.1),
                keras.layers.Dense(3, "softmax"),
            ]
        )
    kernels = [weights for weights in experiment.get_weights() if weights.ndim == 2]
    for ours, theirs in zip(script.get_weights()[::2], kernels, strict=True):
        np.testing.assert_array_equal(ours, theirs)

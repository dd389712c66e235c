"""What `hydra/launcher=auto` may have compiled before it has chosen."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from kexp.config import compose, plain
from kexp.experiment import prepare
from kexp.schema import check
from kexp.sweeps.launch.lanes.arithmetic import multiplications
from kexp.sweeps.launch.lanes.estimates import EstimateRequest, Estimator, Share
from kexp.sweeps.trials import Task

KEEPS = "+callbacks.kept={name: model_checkpoint, filepath: best.keras}"


@pytest.mark.parametrize(
    ("arguments", "epochs", "clear"),
    [
        (["model=cnn", "model.filters=[2]"], 2, True),
        (["model=cnn", "model.filters=[2]", KEEPS], 2, False),  # it cannot be a lane
        (["model=cnn", "model.filters=[256,256]"], 100, False),
    ],
)
def test_programs_are_compiled_before_the_choice_only_where_lanes_win_clearly(
    arguments: list[str], epochs: int, clear: bool
) -> None:
    config = plain(compose(["backend=jax", *arguments]))
    request = EstimateRequest([Share(Task(0, config, (), "", ""), 1, epochs)], workers=2, threads=2, log="")
    assert Estimator(lambda task: prepare(check(task.config))).clearly_lanes(request) is clear


def _nested() -> Any:
    inner = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(4, 3, padding="same"), layers.MaxPooling2D(2)])
    rows = keras.Input((8, 8, 1))
    shared = layers.Dense(4)
    return keras.Model(rows, layers.Dense(3)(layers.Flatten()(shared(shared(inner(rows))))))


class _Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.steps, self.out = layers.LSTM(5), layers.Dense(3)

    def call(self, rows: Any) -> Any:
        return self.out(self.steps(rows))


@pytest.mark.parametrize(
    ("made", "shape", "expected"),
    [
        (
            lambda: keras.Sequential([layers.Input((6,)), layers.Dense(7), layers.Dense(2)]),
            (6,),
            {"dense": 6 * 7 + 7 * 2},
        ),
        (_nested, (8, 8, 1), {"convolution": 64 * 9 * 4, "dense": 2 * 16 * 4 * 4 + 64 * 3}),
        (_Subclassed, (11, 2), {"recurrent": 11 * (2 + 5) * 20, "dense": 5 * 3}),
    ],
)
def test_multiplications_are_those_of_all_layers_wherever_they_stand(
    made: Callable[[], Any], shape: tuple[int, ...], expected: dict[str, float]
) -> None:
    model = made()
    model(np.zeros((1, *shape), np.float32))
    rows: Any = SimpleNamespace(feature_shape=shape, feature_dtype="float32")
    assert multiplications(model, rows) == expected

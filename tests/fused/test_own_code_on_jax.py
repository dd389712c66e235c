"""Code of one's own on JAX; what is the same on every backend is in tests/test_own_code.py."""

from __future__ import annotations

from pathlib import Path

import own_checks
import pytest

import kexp
from kexp.errors import ConfigError


@pytest.mark.parametrize("name", own_checks.NAMES)
def test_a_module_s_parts_train_as_in_plain_keras(name: str, workplace: Path) -> None:
    own_checks.check(name)


BY_NUMPY = """
import keras
import numpy as np


def loss(t, p):
    return np.mean(np.abs(t - p), axis=-1)


def wave(x):
    return np.sin(x)


class Halved(keras.layers.Layer):
    def call(self, x):
        return np.asarray(x) / 2


class Measured(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = keras.layers.Dense(3, "softmax")

    def call(self, x):
        return self.out(np.tanh(np.asarray(x)))
"""


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["loss=by_numpy:loss", "trainer=compiled"],
            r"loss: by_numpy:loss cannot be compiled by JAX: loss \(by_numpy.py, line 7\) raises",
        ),
        (["metrics=[by_numpy:loss]"], r"metrics.loss: by_numpy:loss cannot be compiled by JAX: loss \(by_numpy.py"),
        (["activation=by_numpy:wave"], r"activation: by_numpy:wave cannot be compiled by JAX: wave \(by_numpy.py"),
        (["model=sequential", "model.layers=[by_numpy:Halved]"], r"model.layers\[0\]: Halved .* call \(by_numpy.py"),
        (["model=by_numpy:Measured"], r"model: Measured.call .* call \(by_numpy.py, line 25\) raises"),
    ],
)
def test_what_jax_cannot_compile_is_one_sentence_before_training(
    overrides: list[str], sentence: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "by_numpy.py").write_text(BY_NUMPY)
    with pytest.raises(ConfigError, match=sentence) as caught:
        kexp.run([*own_checks.SMALL, "backend=jax", *overrides])
    assert "use keras.ops" in str(caught.value)
    assert "\n" not in str(caught.value)

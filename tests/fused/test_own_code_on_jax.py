"""Code of one's own on JAX; what is the same on every backend is in tests/test_own_code.py."""

from __future__ import annotations

from pathlib import Path

import own_checks
import pytest

import kexp
from kexp.cli import main
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


def halving(step):
    return np.float32(0.1) * 0.5 ** np.asarray(step)


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
        (["model=by_numpy:Measured"], r"model: Measured.call .* call \(by_numpy.py, line 29\) raises"),
        (["optimizer=sgd", "schedule=by_numpy:halving"], r"schedule: by_numpy:halving cannot be compiled by JAX: halv"),
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["loss=own_parts:by_index", "data=iris"],
            [
                "read as a loss itself, which Keras calls with y_true and y_pred",
                "loss     own_parts:by_index takes class numbers",
                "lane     yes, with data=iris: a sweep's trials share a compiled program",
            ],
        ),
        (["metrics=[own_parts:hit]"], ["metrics=own_parts:hit", "lane     yes, with data=digits"]),
        (["model=own_models:Scaled", "data=iris"], ["lane     no, with data=iris: model: Scaled has a train_step"]),
        (["model=own_models:two_ways"], ["lane     not known: model: takes rows of shape (4,)"]),
    ],
)
def test_show_says_what_a_try_finds_out(
    words: list[str], said: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["show", *words])
    assert not end.value.code
    shown = capsys.readouterr().out
    assert [each for each in said if each not in shown] == []


def test_a_function_of_hp_is_searched_by_the_space_that_it_declares(workplace: Path) -> None:
    few = ["data=iris", "trainer.epochs=1", "trainer.verbose=0", "tracking=none", "save=none", "backend=jax"]
    swept = kexp.sweep([*few, "model=own_models:tunable", "hydra/sweeper=tpe", "hydra.sweeper.n_trials=4"])
    assert swept.finished
    chosen = [trial.config["model"] for trial in swept.trials]
    assert len({each["lr"] for each in chosen}) == 4
    assert all(each["units"] in (4, 8, 12, 16) and 1e-3 <= each["lr"] <= 1e-1 for each in chosen)
    assert {each["activation"] for each in chosen} <= {"relu", "tanh"}


def test_a_train_step_of_ones_own_runs_in_worker_processes_as_alone_and_is_told_once(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["data=iris", "trainer.epochs=2", "tracking=none", "save=none", "backend=jax", "model=own_models:Scaled"]
    swept = kexp.sweep([*few, "seed=1,2", "hydra/launcher=fused"])
    assert capsys.readouterr().out.count("Scaled has a train_step of its own") == 1
    alone = kexp.run([*few, "seed=2", "trainer.verbose=0"])
    assert swept.trials[1].metrics == pytest.approx(alone.metrics, rel=1e-6)


def test_a_process_that_has_imported_keras_stays_with_its_backend_unless_one_is_named(workplace: Path) -> None:
    import keras

    from kexp.sweeps.sweep_command import opened_sweeper

    assert keras.config.backend() == "jax"
    assert kexp.run(own_checks.SMALL).experiment.backend == "jax"
    with pytest.raises(ConfigError, match="cannot change to tensorflow"):
        kexp.run([*own_checks.SMALL, "backend=tensorflow"])
    with opened_sweeper([*own_checks.SMALL, "hydra/launcher=serial"]) as (sweeper, swept):
        assert [trial.config["backend"] for trial in sweeper.plan([*swept, "seed=1,2"])] == ["jax", "jax"]

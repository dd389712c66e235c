"""Code of one's own, as it was written for Keras: functions, objects that are made, targets, errors."""

from __future__ import annotations

from pathlib import Path

import own_checks
import pytest

import kexp
from kexp.errors import ConfigError, KexpError, TrainingError


@pytest.mark.parametrize("name", own_checks.NAMES)
def test_a_module_s_parts_train_as_in_plain_keras(name: str, workplace: Path) -> None:
    own_checks.check(name)


def test_a_module_s_initializer_draws_the_first_weights(workplace: Path) -> None:
    import numpy as np

    wide = ["model.hidden=[200]", "model.kernel_initializer=own_parts:small", "optimizer.learning_rate=1e-9"]
    result = kexp.run([*own_checks.SMALL, "data=digits", "trainer.epochs=1", *wide])
    kernels = [weight for weight in result.model.get_weights() if weight.ndim == 2]
    assert [0.0095 < np.std(kernel) < 0.0105 for kernel in kernels] == [True, True]


def test_each_run_has_fresh_objects(workplace: Path) -> None:
    """Two runs of one process with the same optimizer, metric and model are equal, and leave the module's as it was."""
    import numpy as np
    import own_parts

    overrides = ["optimizer=own_parts:heavy_ball", "metrics=[own_parts:best_two]", "model=own_parts:ready"]
    before = own_parts.ready.get_weights()
    first, second = (kexp.run([*own_checks.SMALL, *overrides]) for _ in range(2))
    assert first.history.epochs == second.history.epochs
    assert not own_parts.heavy_ball.built
    for then, now in zip(before, own_parts.ready.get_weights(), strict=True):
        np.testing.assert_array_equal(then, now)


def test_the_form_of_targets_is_found_said_and_overruled(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talking = [each for each in own_checks.SMALL if not each.startswith("trainer.verbose")]
    result = kexp.run([*talking, "loss=own_parts:by_index", "callbacks=[own_parts:shrinking]"])
    said = capsys.readouterr().out
    assert "loss     own_parts:by_index takes class numbers\n" in said
    assert "callbacks own_parts:shrinking cannot be copied by its config; each run runs its module once more\n" in said
    assert result.experiment.loss is not None
    assert result.experiment.loss.common["targets"] == "class_index"
    with pytest.raises(ConfigError, match=r"^loss: own_parts:by_index does not work: by_index \(.*line \d+\) raises"):
        kexp.run([*own_checks.SMALL, "loss=own_parts:by_index", "loss.targets=one_hot"])
    binary = ["data=breast_cancer", "loss=own_parts:sharper", "loss.targets=binary"]
    assert kexp.run([*own_checks.SMALL, *binary]).model.output_shape == (None, 1)


def test_a_metric_s_targets_choose_the_loss_that_was_left_to_the_data(workplace: Path) -> None:
    from kexp.config import compose, plain
    from kexp.experiment import prepare
    from kexp.schema import check

    for metric, loss in [("hit", "categorical_crossentropy"), ("by_index", "sparse_categorical_crossentropy")]:
        settled = prepare(check(plain(compose([*own_checks.SMALL, f"metrics=[own_parts:{metric}]"])))).experiment
        assert settled.loss is not None
        assert settled.loss.name == loss


@pytest.mark.parametrize(
    ("overrides", "kind", "sentence"),
    [
        (["loss=own_parts:wrong"], ConfigError, r"own_parts:wrong does not work: wrong \(.*own_parts.py, line \d+\)"),
        (["metrics=[own_parts:wrong]"], ConfigError, r"metrics.wrong: own_parts:wrong does not work"),
        (["loss=own_parts:squared", "loss.target=1"], KexpError, r"target"),
        (
            ["callbacks=[failing:Failing]"],
            TrainingError,
            r"on_epoch_end \(failing.py, line 7\) raises KeyError: 'nope'",
        ),
    ],
)
def test_what_one_s_own_function_raises_is_one_sentence(
    overrides: list[str], kind: type[Exception], sentence: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    lines = ["import keras", "", "", "class Failing(keras.callbacks.Callback):", "    'Fails.'"]
    (workplace / "failing.py").write_text(
        "\n".join([*lines, "    def on_epoch_end(self, epoch, logs=None):", "        logs['nope']", ""])
    )
    with pytest.raises(kind, match=sentence) as caught:
        kexp.run([*own_checks.SMALL, *overrides])
    assert "\n" not in str(caught.value)


def test_a_run_keeps_its_code_and_says_when_it_is_another(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The module and what it imports beside it; `--code run` takes what the run kept."""
    import sys

    from kexp.cli import main

    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "by_how_much.py").write_text("FACTOR = 2.0\n")
    (workplace / "kept_loss.py").write_text(
        "from by_how_much import FACTOR\n\n\ndef mine(t, p):\n    return FACTOR * ((t - p) ** 2)[:, 0]\n"
    )
    small = [each for each in own_checks.SMALL if each not in ("tracking=none", "save=none")]
    result = kexp.run([*small, "loss=kept_loss:mine", "save.formats=[keras]", "save.model=false"])
    (workplace / "by_how_much.py").write_text("FACTOR = 3.0\n")
    with pytest.warns(UserWarning, match=r"by_how_much.py: changed since run"):
        kexp.load_model(result.run_id)

    def reproduced(*more: str) -> tuple[int, str]:
        for name in ("by_how_much", "kept_loss"):
            sys.modules.pop(name)
        with pytest.raises(SystemExit) as end:
            main(["reproduce", result.run_id, *more])
        return int(end.value.code or 0), capsys.readouterr().out

    code, said = reproduced()
    assert (code, "code      by_how_much.py is not what it was" in said) == (1, True)
    code, said = reproduced("--code", "run")
    assert (code, "equal" in said) == (0, True), said


def test_show_says_how_a_reference_was_read(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from kexp.cli import main

    for word, said in [
        ("loss=own_parts:sharper", "read as a loss itself, which Keras calls with t and p"),
        ("optimizer=own_parts:heavy_ball", "read as an existing object; each run has a copy"),
    ]:
        with pytest.raises(SystemExit) as end:
            main(["show", word])
        assert not end.value.code
        assert said in capsys.readouterr().out


def test_numpy_in_a_loss_is_told_with_what_to_use(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "by_numpy.py").write_text(
        "import numpy as np\n\n\ndef mine(t, p):\n    return np.mean(np.asarray(t) - np.asarray(p), axis=-1)\n"
    )
    with pytest.raises(TrainingError, match=r"mine \(by_numpy.py, line 5\) raises .* use keras.ops"):
        kexp.run([*own_checks.SMALL, "loss=by_numpy:mine"])


def test_a_numpy_function_of_tensorflow_is_told_how_it_trains(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Keras raises the same, and takes it eagerly."""
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "by_tf.py").write_text(
        "import numpy as np\nimport tensorflow as tf\n\n\ndef mine(t, p):\n"
        "    return tf.numpy_function(lambda a, b: np.float32(np.abs(a - b).mean()), [t, p], tf.float32)\n"
    )
    chosen = [*own_checks.SMALL, "loss=categorical_crossentropy", "metrics=[by_tf:mine]"]
    with pytest.raises(TrainingError, match=r"has no shape: give it one by set_shape, or choose trainer.run_eagerly"):
        kexp.run(chosen)
    assert kexp.run([*chosen, "trainer.run_eagerly=true"]).metrics["mine"] > 0


def test_what_no_model_could_mend_is_said_before_a_regression_is_trained(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "of_keras_2.py").write_text(
        "from keras import backend as K\n\n\ndef rmse(t, p):\n    return K.sqrt(K.mean(K.square(p - t)))\n"
    )
    with pytest.raises(
        ConfigError, match=r"loss: of_keras_2:rmse does not work: .* line 5.*; in Keras 3 it is keras.ops.sqrt"
    ):
        kexp.run([*own_checks.SMALL, "data=diabetes", "loss=of_keras_2:rmse"])


def test_parts_without_get_config_are_saved_and_read_back(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a layer that is there already may be several of a model's layers."""
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "bare.py").write_text(
        "import keras\n\n\nclass Pull(keras.regularizers.Regularizer):\n    def __init__(self, by=0.1):\n"
        "        self.by = by\n\n    def __call__(self, w):\n        return self.by * keras.ops.sum(w * w)\n\n\n"
        "class Fixed(keras.optimizers.schedules.LearningRateSchedule):\n    def __init__(self, rate=0.1):\n"
        "        self.rate = rate\n\n    def __call__(self, step):\n        return self.rate\n\n\n"
        "slope = keras.layers.PReLU()\n"
    )
    small = [each for each in own_checks.SMALL if not each.startswith(("save=", "tracking="))]
    parts = ["model.kernel_regularizer=bare:Pull", "optimizer=sgd", "schedule=bare:Fixed", "activation=bare:slope"]
    result = kexp.run([*small, *parts, "model.hidden=[4,4]", "save.formats=[h5,keras]", "save.model=false"])
    model = kexp.load_model(result.run_id, format="keras")
    assert model.layers[1].kernel_regularizer.by == 0.1


@pytest.mark.parametrize(
    ("chosen", "place"),
    [
        (["model=badly:functional"], r"model: helper \(badly.py, line 6\) raises AttributeError"),
        (["model=badly:Sub"], r"model: Sub.call must take rows .* helper \(badly.py, line 6\) raises AttributeError"),
        (
            ["model=sequential", "model.layers=[badly:Narrow]"],
            r"model.layers\[0\]: Narrow does not fit .* call \(badly.py, line 26\) raises",
        ),
        (["model.kernel_initializer=badly:divided"], r"model: divided \(badly.py, line 30\) raises ZeroDivisionError"),
    ],
)
def test_what_one_s_own_code_raises_while_the_model_is_built_is_one_sentence_with_its_place(
    chosen: list[str], place: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "badly.py").write_text(
        "import keras\nfrom keras import layers, ops\n\n\ndef helper(x):\n    return x.nothing\n\n\n"
        "def functional():\n    rows = keras.Input((4,))\n    return keras.Model(rows, helper(rows))\n\n\n"
        "class Sub(keras.Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.out = layers.Dense(3)\n\n    def call(self, x):\n        return self.out(helper(x))\n\n\n"
        "class Narrow(layers.Layer):\n    def call(self, x):\n        'Fails.'\n"
        "        return ops.matmul(x, ops.ones((7, 2)))\n\n\n"
        "def divided(shape, dtype=None):\n    return 1 / 0\n"
    )
    with pytest.raises(ConfigError, match=place) as caught:
        kexp.run([*own_checks.SMALL, *chosen])
    assert "\n" not in str(caught.value)


def test_files_that_cannot_hold_a_layer_of_one_s_own_are_left_out_or_refused_before_training(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "plain_layer.py").write_text(
        "import keras\n\n\nclass Linear(keras.layers.Layer):\n    def __init__(self, units=8):\n"
        "        super().__init__()\n        self.units = units\n\n    def build(self, shape):\n"
        "        self.w = self.add_weight(shape=(shape[-1], self.units))\n\n"
        "    def call(self, x):\n        return x @ self.w\n"
    )
    chosen = ["data=iris", "trainer.epochs=1", "trainer.verbose=0", "model=sequential"]
    chosen += ["model.layers=[plain_layer:Linear]"]
    with pytest.raises(ConfigError, match=r"save.formats: keras cannot hold model=sequential: .*get_config"):
        kexp.run([*chosen, "save.formats=[keras]"])
    result = kexp.run(chosen)
    assert [path.name for path in result.saved] == ["model.weights.h5"]
    rows = np.ones((2, 4), np.float32)
    again = kexp.load_model(result.run_id).predict(rows, verbose=0)
    np.testing.assert_allclose(again, result.model.predict(rows, verbose=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("set_for_all", "told"),
    [
        ("set_dtype_policy('mixed_bfloat16')", "whatever dtype policy a module sets, here mixed_bfloat16"),
        ("set_floatx('float64')", "whatever floatx a module sets, here float64"),
    ],
)
def test_a_precision_that_a_module_sets_for_all_of_keras_gives_way_and_is_told(
    set_for_all: str, told: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    module = f"setting_{set_for_all[4:9]}"
    loss = "    return keras.ops.mean(keras.ops.square(t - p), axis=-1)\n"
    (workplace / f"{module}.py").write_text(f"import keras\n\nkeras.config.{set_for_all}\n\n\ndef mine(t, p):\n{loss}")
    talking = [each for each in own_checks.SMALL if not each.startswith("trainer.verbose")]
    result = kexp.run([*talking, f"loss={module}:mine"])
    assert f"trainer  layers compute in float32, {told}\n" in capsys.readouterr().out
    assert {layer.compute_dtype for layer in result.model.layers} == {"float32"}
    assert {str(variable.dtype) for variable in result.model.trainable_variables} == {"float32"}
    assert {metric.dtype for metric in result.model.metrics} == {"float32"}


def test_a_script_is_imported_as_one_that_is_given_no_arguments(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kexp import registry
    from kexp.errors import ComponentError

    monkeypatch.syspath_prepend(str(workplace))
    monkeypatch.setattr("sys.argv", ["kexp", "loss=script:loss", "loss.power=3"])
    parsed = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--power', default=2)\n"
    (workplace / "script.py").write_text(f"{parsed}given = parser.parse_args()\n\n\ndef loss(t, p):\n    return t\n")
    assert registry.find("loss", "script:loss").load()(1, 2) == 1
    (workplace / "ending.py").write_text("import sys\n\nsys.exit('usage: ending DATA')\n")
    with pytest.raises(ComponentError, match=r"calls sys.exit\('usage: ending DATA'\); put what a script alone does"):
        registry.find("loss", "ending:loss").load()

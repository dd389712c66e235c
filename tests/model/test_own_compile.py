"""What a model's own code compiled it with is used where the config names none, and kept with the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import own_models
import pytest

import kexp
from kexp.config import compose, plain
from kexp.errors import ConfigError
from kexp.experiment import feeds, prepare
from kexp.schema import check
from kexp.stored import load_experiment
from kexp.stored.runs import find
from kexp.training.process.initial_values import initial_values

SHORT = ["data=iris", "trainer.epochs=2", "trainer.verbose=0", "seed=3", "tracking.figures=false", "save.model=false"]


def measured_by_hand(name: str, class_weight: dict[int, float] | None = None) -> dict[str, float]:
    """Keras' own history of the model as its code compiles it, on the same rows in the same order."""
    prepared = prepare(check(plain(compose([*SHORT, f"model=own_models:{name}"]))))
    train = feeds(prepared)[0]
    x, y = prepared.splits.train.batch(np.arange(len(prepared.splits.train)))
    made = getattr(own_models, name)
    with initial_values(3):
        model = _as_compiled(made) if isinstance(made, keras.Model) else made()
        model.build((None, 4))
    history: dict[str, float] = {}
    for epoch in range(2):
        order = train.order(epoch)
        got = model.fit(
            x[order], y[order], batch_size=32, epochs=1, shuffle=False, verbose=0, class_weight=class_weight
        )
        history = {key: values[-1] for key, values in got.history.items()}
    return history


def _as_compiled(made: Any) -> Any:
    with keras.saving.custom_object_scope({"penalised": own_models.penalised}):
        copy = keras.models.clone_model(made)
        copy.compile_from_config(made.get_compile_config())
    return copy


@pytest.mark.parametrize(
    "name",
    [
        "compiled",
        "compiled_already",
        "compiled_with_its_own",
        "compiled_with_its_own_already",
        "compiled_with_a_loss_of_settings",
        "compiled_with_what_the_module_names",
        "compiled_with_closures",
        "compiled_with_closures_of_what_they_computed",
    ],
)
def test_optimizer_loss_and_metrics_are_the_models_own(workplace: Path, name: str) -> None:
    result = kexp.run([*SHORT, f"model=own_models:{name}"])
    of_lambda = {"compiled_with_what_the_module_names": "surest", "compiled_with_closures": "confidence"}
    of_lambda["compiled_with_closures_of_what_they_computed"] = "weighted_metrics_0"
    for key, value in measured_by_hand(name).items():
        measured = result.history.columns()[of_lambda[name] if key == "lambda" else key]
        np.testing.assert_allclose(measured[-1], value, rtol=1e-4)
    # What was taken is written out in the run's config, so that it is there without the model's code.
    stored = load_experiment(find(result.run_id))
    assert stored.optimizer == result.experiment.optimizer
    assert stored.loss == result.experiment.loss
    assert stored.metrics == result.experiment.metrics
    loaded, trained = (each.optimizer.get_config() for each in (kexp.load_model(result.run_id), result.model))
    assert {**loaded, "name": ""} == {**trained, "name": ""}


def test_class_weights_weigh_the_metrics_that_the_model_compiles_as_weighted_ones(workplace: Path) -> None:
    weights = {0: 0.5, 1: 2.0, 2: 3.0}
    chosen = ["model=own_models:compiled_with_its_own", f"trainer.class_weight={str(weights).replace(' ', '')}"]
    result = kexp.run([*SHORT, *chosen])
    expected = measured_by_hand("compiled_with_its_own", weights)
    assert set(expected) == {"loss", "categorical_accuracy", "weighted_categorical_accuracy", "mse"}
    for key, value in expected.items():
        np.testing.assert_allclose(result.history.columns()[key][-1], value, rtol=1e-4)
    assert load_experiment(find(result.run_id)).metrics == result.experiment.metrics
    asked = ["metrics=[accuracy,mean_squared_error]", "metrics.mean_squared_error.weighted=true"]
    again = kexp.run([*SHORT, *chosen, *asked, "tracking=none", "save=none"]).history.columns()
    np.testing.assert_allclose(again["mean_squared_error"], result.history.columns()["mse"], rtol=1e-6)


def test_what_no_config_can_name_is_refused_unless_the_config_names_another(workplace: Path) -> None:
    few = [*SHORT, "model=own_models:compiled_with_a_loss_of_its_own_layers", "tracking=none", "save=none"]
    with pytest.raises(ConfigError, match=r"with a loss, compiled_\w+.<locals>.loss, that no run could make again"):
        kexp.run(few)
    assert "accuracy" in kexp.run([*few, "loss=categorical_crossentropy"]).history.columns()


def test_what_the_config_names_takes_the_place_of_what_the_model_compiled(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [each for each in SHORT if "verbose" not in each]
    chosen = ["model=own_models:compiled", "optimizer=adam", "metrics=[categorical_accuracy]"]
    result = kexp.run([*few, *chosen, "tracking=none", "save=none"])
    assert type(result.model.optimizer) is keras.optimizers.Adam
    assert set(result.experiment.metrics) == {"categorical_accuracy"}
    assert result.experiment.loss is not None
    assert result.experiment.loss.name == "categorical_crossentropy"
    said = capsys.readouterr().out
    assert "compiled with loss categorical_crossentropy, which the config leaves to it" in said
    assert "takes the place of its optimizer sgd, metrics accuracy" in said


def test_a_setting_of_the_optimizer_is_a_choice_of_the_default_one(workplace: Path) -> None:
    chosen = ["model=own_models:compiled", "optimizer.learning_rate=0.02", "tracking=none", "save=none"]
    result = kexp.run([*SHORT, *chosen])
    assert type(result.model.optimizer) is keras.optimizers.Adam


def test_a_setting_that_is_typed_counts_though_its_value_is_the_default_s(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preset = workplace / "presets" / "experiment" / "typed.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("# @package _global_\noptimizer:\n  learning_rate: 0.001\n")
    few = ["model=own_models:compiled", "tracking=none", "save=none"]
    for typed, directory in (["optimizer.learning_rate=0.001"], None), (["experiment=typed"], preset.parents[1]):
        result = kexp.run([*SHORT, *few, *typed], config_dir=directory)
        assert type(result.model.optimizer) is keras.optimizers.Adam
    swept = kexp.sweep([*SHORT, *few, "optimizer.learning_rate=0.001,0.002", "hydra/launcher=serial"])
    assert [trial.config["optimizer"]["name"] for trial in swept.trials] == ["adam", "adam"]
    with pytest.raises(ConfigError, match=r"save.formats: h5 cannot hold model=own_models:Residual"):
        kexp.run([*SHORT, "model=own_models:Residual", "save.formats=[h5,weights,json]"])


def test_all_else_that_compile_takes_is_taken_or_told(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = [*(each for each in SHORT if "verbose" not in each), "tracking=none", "save=none"]
    result = kexp.run([*few, "model=own_models:compiled_in_full"])
    said = capsys.readouterr().out
    assert "metrics accuracy, mean_squared_error, steps_per_execution 3, jit_compile true, which the config" in said
    assert "its loss_weights [0.5] is not used" in said
    assert {"accuracy", "mse"} <= result.history.columns().keys()
    assert (result.model.jit_compile, result.model.steps_per_execution) == (True, 3)
    result = kexp.run([*few, "model=own_models:compiled_in_full", "trainer.steps_per_execution=1"])
    assert "takes the place of its steps_per_execution 3" in capsys.readouterr().out
    assert result.model.steps_per_execution == 1
    assert kexp.run([*few, "model=own_models:eager"]).model.run_eagerly
    assert not kexp.run([*few, "model=own_models:eager", "trainer.run_eagerly=false"]).model.run_eagerly


def test_a_compile_of_ones_own_that_keras_could_not_call_is_called_by_ones_own_code(workplace: Path) -> None:
    few = [*SHORT, "tracking=none", "save=none"]
    with pytest.raises(ConfigError, match=r"model: Distilling.compile takes optimizer, teacher, metrics, where Keras'"):
        kexp.run([*few, "model=own_models:Distilling"])
    assert kexp.run([*few, "model=own_models:distilling"]).model.teacher is not None


def test_a_model_that_is_not_compiled_has_the_defaults(workplace: Path) -> None:
    result = kexp.run([*SHORT, "model=own_models:two_ways", "tracking=none", "save=none"])
    assert result.experiment.as_dict()["optimizer"]["name"] == "adam"
    assert set(result.experiment.metrics) == {"accuracy"}


def test_a_function_of_hp_has_what_it_declares_as_parameters(workplace: Path) -> None:
    chosen = ["model=own_models:tunable", "model.units=8", "model.lr=0.02", "model.activation=tanh"]
    result = kexp.run([*SHORT, *chosen])
    assert result.model.layers[0].units == 8
    assert result.model.layers[0].activation is keras.activations.tanh
    np.testing.assert_allclose(float(result.model.optimizer.learning_rate), 0.02, rtol=1e-6)
    assert result.experiment.model.parameters == {"activation": "tanh", "units": 8, "lr": 0.02}
    with pytest.raises(ConfigError, match="must be one of 4, 8"):
        kexp.run([*SHORT, "model=own_models:tunable", "model.units=7"])
    loaded = kexp.load_model(result.run_id)
    assert loaded.layers[0].units == 8

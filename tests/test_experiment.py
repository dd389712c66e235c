"""One experiment from the command line's words to MLflow: what a run leaves, and that it is the same twice."""

from __future__ import annotations

import json
import math
from itertools import cycle
from pathlib import Path

import pytest

import kexp
from kexp.errors import TrainingError
from kexp.tracking import StoreSettings, fetch_artifact, find_run, list_artifacts, metric_history, search

CATALOGUE_LOSSES = (
    "mean_squared_error mean_absolute_error mean_absolute_percentage_error mean_squared_logarithmic_error "
    "binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy squared_hinge hinge "
    "categorical_hinge logcosh huber_loss kullback_leibler_divergence poisson cosine_proximity"
).split()
CATALOGUE_OPTIMIZERS = "sgd rmsprop adagrad adadelta adam adamax nadam sgd_nesterov".split()
CATALOGUE_ACTIVATIONS = "sigmoid hard_sigmoid tanh relu softmax elu selu softplus softsign linear".split()
QUICK = ["trainer.epochs=1", "trainer.verbose=0", "tracking=none", "save=none"]


def test_the_default_run_reaches_its_accuracy_and_leaves_a_whole_record(workplace: Path) -> None:
    result = kexp.run(["trainer.verbose=0", "name=whole"])
    assert result.metrics["test_accuracy"] >= 0.95
    store = StoreSettings()
    view = find_run(store, result.run_id)
    assert view.status == "FINISHED"
    assert view.name == "whole"
    assert view.params["optimizer.name"] == "adam"
    assert view.params["optimizer.learning_rate"] == "0.001"
    assert view.params["loss.name"] == "sparse_categorical_crossentropy"
    assert view.params["data.name"] == "digits"
    assert view.params["seed"] == "0"
    assert view.tags["kexp.fingerprint"] == result.fingerprint
    assert view.tags["kexp.version"] == kexp.__version__
    history = metric_history(store, result.run_id, "val_loss")
    assert [point.step for point in history] == list(range(1, 21))
    assert [point.value for point in history] == result.history.columns()["val_loss"]
    assert view.metrics["test_accuracy"] == result.metrics["test_accuracy"]
    artifacts = set(list_artifacts(store, result.run_id))
    assert artifacts >= {
        "config.yaml",
        "overrides.txt",
        "model_summary.txt",
        "environment.json",
        "saved/model.h5",
        "saved/model.weights.h5",
        "saved/model.json",
        "saved/manifest.json",
        "figures/learning_curves.png",
        "figures/confusion_matrix.png",
    }
    environment = json.loads(fetch_artifact(store, result.run_id, "environment.json", workplace).read_text())
    assert "python" in environment
    assert len(view.model_ids) == 1


def test_secrets_of_the_environment_are_not_written_out(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEXP_TEST_NAME", "very-secret-word")
    result = kexp.run([*QUICK[:2], "save=none", "name=${oc.env:KEXP_TEST_NAME}"])
    config = fetch_artifact(StoreSettings(), result.run_id, "config.yaml", workplace).read_text()
    assert "very-secret-word" not in config
    assert "${oc.env:KEXP_TEST_NAME}" in config


@pytest.mark.parametrize("loss", CATALOGUE_LOSSES)
def test_every_loss_trains_on_the_default_data_with_no_other_flag(workplace: Path, loss: str) -> None:
    result = kexp.run([*QUICK, f"loss={loss}"])
    assert result.experiment.loss is not None
    assert result.experiment.loss.name == loss
    assert all(math.isfinite(value) for value in result.metrics.values())
    assert "test_accuracy" in result.metrics


@pytest.mark.parametrize(("optimizer", "activation"), zip(cycle(CATALOGUE_OPTIMIZERS), CATALOGUE_ACTIVATIONS))
def test_every_optimizer_and_every_activation_of_the_catalogue_trains(
    workplace: Path, optimizer: str, activation: str
) -> None:
    result = kexp.run([*QUICK, f"optimizer={optimizer}", f"activation={activation}"])
    assert result.history.last["loss"] > 0


@pytest.mark.parametrize("data", ["iris", "wine", "breast_cancer", "diabetes", "random"])
def test_every_bundled_data_set_trains_with_what_follows_from_it(workplace: Path, data: str) -> None:
    result = kexp.run([*QUICK, f"data={data}", "trainer.batch_size=16"])
    expected = "mean_absolute_error" if data in ("diabetes", "random") else "accuracy"
    assert f"test_{expected}" in result.metrics


@pytest.mark.parametrize("model", ["mlp", "cnn", "lstm", "linear"])
def test_every_model_trains(workplace: Path, model: str) -> None:
    result = kexp.run([*QUICK, f"model={model}"])
    assert result.model.output_shape == (None, 10)


def test_a_free_list_of_layers_trains(workplace: Path) -> None:
    layers = (
        "[{name: Dense, units: 32, input_dim: 64, activation: relu, kernel_initializer: he_normal,"
        " kernel_regularizer: {name: l2, l2: 1e-4}, bias_constraint: {name: max_norm, max_value: 2}},"
        " {name: Dropout, rate: 0.1}, {name: Dense, units: 10}, {name: Activation, activation: softmax}]"
    )
    result = kexp.run([*QUICK, "model=sequential", f"model.layers={layers}"])
    assert [type(layer).__name__ for layer in result.model.layers] == ["Dense", "Dropout", "Dense", "Activation"]
    assert result.model.layers[0].kernel_regularizer.get_config()["l2"] == pytest.approx(1e-4)


def test_a_users_function_builds_the_model_by_add(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace / "built_by_add.py").write_text(
        "import keras\n\n"
        "def build(units: int = 16):\n"
        "    model = keras.Sequential()\n"
        "    model.add(keras.layers.Dense(units, activation='relu'))\n"
        "    model.add(keras.layers.Dense(10, activation='softmax'))\n"
        "    return model\n"
    )
    monkeypatch.syspath_prepend(str(workplace))
    result = kexp.run([*QUICK, "model=built_by_add:build", "model.units=24"])
    assert result.model.layers[0].units == 24


def test_both_feeds_give_the_same_history(workplace: Path) -> None:
    histories = [
        kexp.run([*QUICK, "trainer.epochs=2", f"data.feed={feed}"]).history.epochs for feed in ("numpy", "tfdata")
    ]
    assert histories[0] == histories[1]


def test_the_same_command_twice_gives_the_same_history(workplace: Path) -> None:
    overrides = [*QUICK, "trainer.epochs=2", "model.dropout=0.3", "seed=7"]
    first, second = kexp.run(overrides), kexp.run(overrides)
    assert first.history.epochs == second.history.epochs
    assert first.fingerprint == second.fingerprint
    assert kexp.run([*overrides, "seed=8"]).history.epochs != first.history.epochs


def test_verbose_0_is_silent(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kexp.run(["trainer.epochs=1", "trainer.verbose=0"])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_training_that_diverges_is_failed_with_its_reason_and_keeps_its_history(workplace: Path) -> None:
    overrides = ["optimizer=sgd", "optimizer.learning_rate=1e30", "loss=mean_squared_error", "activation=linear"]
    with pytest.raises(TrainingError, match="loss became") as caught:
        kexp.run([*overrides, "trainer.verbose=0", "data=diabetes", "save=none"])
    (view,) = search(StoreSettings())
    (note,) = caught.value.__notes__
    assert view.run_id in note
    assert view.status == "FAILED"
    assert "loss became" in view.tags["kexp.reason"]


def test_balanced_class_weights_change_the_training(workplace: Path) -> None:
    plain = kexp.run([*QUICK, "data=breast_cancer"])
    weighted = kexp.run([*QUICK, "data=breast_cancer", "trainer.class_weight=balanced"])
    assert plain.history.last["loss"] != weighted.history.last["loss"]


def test_early_stopping_restores_the_best_weights(workplace: Path) -> None:
    result = kexp.run(
        [
            *QUICK,
            "trainer.epochs=40",
            "optimizer.learning_rate=0.05",
            "callbacks=[early_stopping]",
            "callbacks.early_stopping.patience=2",
            "callbacks.early_stopping.restore_best_weights=true",
        ]
    )
    assert 3 <= len(result.history) < 40
    assert result.history.stopped


def test_metric_with_a_value_for_each_class_is_a_metric_for_each(workplace: Path) -> None:
    result = kexp.run([*QUICK, "data=iris", "loss=categorical_crossentropy", "metrics=[f1_score]"])
    scores = [f"f1_score_{place}" for place in range(3)]
    assert {"loss", "val_loss", *scores, *(f"val_{each}" for each in scores)} == set(result.history.last)
    assert {f"test_{each}" for each in scores} < set(result.metrics)

"""Targets of any shape and weights: trained, measured and predicted as plain Keras does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brought
import keras
import numpy as np
import pytest
from sklearn import metrics

from kexp.build import build_metrics
from kexp.config import compose, plain
from kexp.data import arrays, as_data, split
from kexp.errors import ConfigError, DataError
from kexp.experiment import Prepared, build_compiled, feeds, prepare
from kexp.schema import check

SMALL = ("tracking=none", "trainer.epochs=1", "model.hidden=[8]", "trainer.batch_size=16")


def prepared(reference: str, *overrides: str) -> Prepared:
    return prepare(check(plain(compose([f"data=brought:{reference}", *SMALL, *overrides]))))


def refusal(overrides: list[str]) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        prepare(check(plain(compose([*SMALL, *overrides]))))
    return raised.value


@pytest.mark.parametrize(
    ("reference", "task", "positions", "outputs"),
    [
        ("autoencoder", "regression", (6, 6), 1),
        ("segments", "classification", (6, 6), 2),
        ("tags", "classification", (12,), 4),
        ("forecast", "regression", (3,), 2),
        ("labels", "labels", (), 4),
        ("weighted", "classification", (), 2),
        ("weighted_dataset", "classification", (), 2),
        ("frame", "classification", (), 2),
        ("batches", "classification", (), 2),
        ("chunks", "classification", (), 2),
    ],
)
@pytest.mark.parametrize("feed", ["numpy", "tfdata"])
def test_task_is_read_off_the_targets_and_measured_as_keras_does(
    reference: str, task: str, positions: tuple[int, ...], outputs: int, feed: str
) -> None:
    trial = prepared(reference, f"data.feed={feed}")
    spec = trial.splits.spec
    assert (spec.task, spec.positions, spec.outputs) == (task, positions, outputs)
    model = build_compiled(trial)
    train, _, test = feeds(trial)
    assert test is not None
    model.fit(train.epochs(), steps_per_epoch=train.steps_per_epoch, epochs=1, verbose=0, shuffle=False)
    found = model.evaluate(test.once(), verbose=0, return_dict=True)
    assert set(found) == {name.removeprefix("test_") for name in trial.metric_names if name.startswith("test_")}
    made = getattr(brought, reference)()
    if isinstance(made, tuple) and reference != "frame":  # the rows as they were brought, with Keras' own loop
        x, y, *weight = (np.asarray(each)[trial.splits.test.rows] for each in made)  # type: ignore[union-attr]
        weights = weight[0] if weight else None
        y = y.astype("float32") if task == "labels" else y
        expected = model.evaluate(x, y, sample_weight=weights, batch_size=16, verbose=0, return_dict=True)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-5), name


def test_weights_count_as_scikit_learn_counts_them() -> None:
    trial = prepared("weighted")
    model, test = build_compiled(trial), trial.splits.test
    assert test is not None
    found = model.evaluate(feeds(trial)[2].once(), verbose=0, return_dict=True)  # type: ignore[union-attr]
    x, y = test.arrays()
    p = model.predict(x, verbose=0)
    right = metrics.accuracy_score(y, p.argmax(axis=1), sample_weight=test.weights)
    assert found["weighted_accuracy"] == pytest.approx(right, rel=1e-5)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, p.argmax(axis=1)), rel=1e-5)
    losses = -np.log(p[np.arange(len(y)), y])
    weights = test.weights
    assert weights is not None
    # Keras divides by the number of rows, not by the sum of the weights.
    per_batch = [(losses[i : i + 16] * weights[i : i + 16]).mean() for i in range(0, len(y), 16)]
    sizes = [len(y[i : i + 16]) for i in range(0, len(y), 16)]
    assert found["loss"] == pytest.approx(np.average(per_batch, weights=sizes), rel=1e-5)


def test_class_weights_multiply_the_weights_of_rows_in_training_alone() -> None:
    trial = prepared("weighted", "trainer.class_weight={0: 5.0}")
    train, validation, _ = feeds(trial)
    part = trial.splits.train
    assert part.weights is not None and validation is not None and trial.splits.validation is not None
    rows = np.arange(len(part))
    expected = part.weights * np.where(part.labels == 0, 5.0, 1.0)
    assert np.array_equal(train.batch(rows)[2], expected.astype(np.float32))
    rows = np.arange(len(trial.splits.validation))
    assert np.array_equal(validation.batch(rows)[2], trial.splits.validation.weights)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "overrides", "said"),
    [
        ("labels", ["metrics=[accuracy]"], "metrics: accuracy is for a classification, but the data is several labels"),
        ("labels", ["loss=categorical_crossentropy"], "choose loss=binary_crossentropy"),
        ("labels", ["trainer.class_weight=balanced"], "trainer.class_weight: needs classes as targets"),
        (
            "tags",
            ["trainer.class_weight=balanced"],
            "trainer.class_weight: needs one class a row, but the data has one",
        ),
        ("tags", ["loss=categorical_crossentropy", "metrics=[f1_score]"], "metrics: f1_score wants one target a row"),
        ("forecast", ["loss=sparse_categorical_crossentropy"], "choose loss=mean_squared_error"),
    ],
)
def test_what_cannot_be_had_is_one_sentence_before_compute(reference: str, overrides: list[str], said: str) -> None:
    with pytest.raises((ConfigError, DataError)) as raised:
        feeds(prepared(reference, *overrides))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("loss", "model", "shape"),
    [
        ("binary_crossentropy", "mlp", (6, 6, 1)),
        ("categorical_crossentropy", "mlp", (6, 6, 2)),
        ("sparse_categorical_crossentropy", "cnn", (6, 6, 2)),
    ],
)
def test_models_end_in_the_shape_of_the_targets(loss: str, model: str, shape: tuple[int, ...]) -> None:
    chosen = [f"loss={loss}", f"model={model}", *([] if model == "mlp" else ["~model.hidden", "model.filters=[4]"])]
    overrides = [each for each in (*SMALL, *chosen) if model == "mlp" or "hidden" not in each]
    trial = prepare(check(plain(compose(["data=brought:segments", *overrides]))))
    built = build_compiled(trial)
    assert built.output_shape[1:] == shape
    x, y = trial.splits.train.arrays()
    assert y.shape[1:] == (shape if "sparse" not in loss else shape[:-1])
    assert np.isfinite(built.evaluate(x, y, verbose=0))[0]


def test_recurrent_layers_and_free_lists_give_an_output_at_each_step() -> None:
    embedding = "{name: Embedding, input_dim: 40, output_dim: 4, embeddings_initializer: random_uniform}"
    layers = f"model.layers=[{embedding}, {{name: LSTM, units: 8, return_sequences: true}}]"
    overrides = [each for each in SMALL if "hidden" not in each]
    trial = prepare(check(plain(compose(["data=brought:tags", "model=sequential", layers, *overrides]))))
    model = build_compiled(trial)
    assert model.output_shape == (None, 12, 4)
    assert model.layers[-1].activation is keras.activations.softmax
    assert build_metrics(trial.experiment.metrics)


def test_arrays_tells_tasks_apart() -> None:
    random = np.random.default_rng()
    flat, steps = random.random((30, 4)), random.random((30, 4, 2))
    bits = np.tile([[0, 1, 1, 0], [1, 1, 0, 0]], (15, 1))
    assert arrays(flat, bits).spec.task == "labels"
    assert arrays(steps, bits).spec.positions == (4,)
    assert arrays(flat, bits, task="regression").spec.task == "regression"
    assert arrays(flat, bits * 7).spec.task == "regression"
    assert arrays(steps, steps).spec.positions == (4,)
    assert arrays(np.zeros((30, 3)), bits.astype(bool)).spec.task == "labels"


def test_a_loss_of_classes_makes_classes_of_whole_numbers_that_might_be_quantities() -> None:
    trial = prepared("other_steps", "loss=sparse_categorical_crossentropy")
    assert (trial.splits.spec.task, trial.splits.spec.positions, trial.splits.spec.outputs) == (
        "classification",
        (5,),
        4,
    )
    model = build_compiled(trial)
    assert model.output_shape == (None, 5, 4)
    x, y = trial.splits.train.arrays()
    p = model.predict(x, verbose=0)
    expected = -np.log(np.take_along_axis(p, y[..., None], axis=-1)).mean()
    assert model.evaluate(x, y, batch_size=len(x), verbose=0)[0] == pytest.approx(expected, rel=1e-5)
    assert prepared("other_steps").splits.spec.task == "regression"
    with pytest.raises(
        ConfigError, match="sparse_categorical_crossentropy is for a classification, but the data is a r"
    ):
        prepared("forecast", "loss=sparse_categorical_crossentropy")


def test_whole_numbers_taken_for_a_quantity_are_told_how_they_become_classes(tmp_path: Path) -> None:
    file = tmp_path / "letters.csv"
    file.write_text("\n".join(["width,letter", *(f"{row / 7:.3f},{row % 26}" for row in range(260))]) + "\n")
    from_table = ["data=csv", f"data.path={file}", "data.target=letter", "loss=sparse_categorical_crossentropy"]
    more = ", or data.task=classification if the whole numbers of the target are classes"
    assert str(refusal(from_table)).endswith(f"choose loss=mean_squared_error{more}")
    assert str(refusal([*from_table[:3], "metrics=[accuracy]"])).endswith(more)
    assert "or data.task" not in str(refusal(["data=diabetes", *from_table[3:]]))
    assert prepare(check(plain(compose([*from_table, "data.task=classification"])))).splits.spec.outputs == 26


def test_a_batch_larger_than_the_rows_is_all_rows_and_the_config_keeps_what_was_typed() -> None:
    trial = prepared("labels", "trainer.batch_size=500")
    train = feeds(trial)[0]
    assert (train.batch_size, train.steps_per_epoch) == (trial.batch_size, 1) == (len(trial.splits.train), 1)
    assert trial.experiment.trainer.batch_size == 500  # the same for folds of different sizes


def test_floats_of_0_and_1_are_classes_or_labels() -> None:
    flat = np.random.default_rng(0).random((30, 4))
    bits = (flat > 0.5).astype("float32")
    assert arrays(flat, bits[:, 0]).spec.classes == arrays(flat, bits[:, :1]).spec.classes == ("0", "1")
    assert arrays(flat, bits).spec.task == "labels"
    assert arrays(bits, bits).spec.task == "regression"  # an autoencoder
    assert arrays(flat, bits[:, 0] * 2).spec.task == "regression"


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (-np.ones(10), "data.weight: must be numbers of 0 or more, got -1 in row 1"),
        (np.zeros(10), "data.weight: must not be 0 in every row"),
        (np.ones((10, 3)), "data.weight: must be one number a row, shape (10,), got the shape (10, 3)"),
        (np.full(10, np.nan), "data.weight: must be numbers of 0 or more, got nan in row 1"),
        (np.array(["a"] * 10), "data.weight: must be numbers, got"),
    ],
)
def test_weights_are_refused_in_one_sentence(weight: Any, said: str) -> None:
    with pytest.raises(DataError) as raised:
        as_data((np.zeros((10, 1)), np.arange(10) % 2, weight))
    assert str(raised.value).startswith(said)


def test_weights_of_steps_are_fed_as_keras_takes_them() -> None:
    x = np.random.default_rng(1).integers(1, 9, (40, 5))
    weight = (x > 4).astype("float32")
    part = split(as_data((x, x % 3, weight)), test=0, validation=0).train
    assert np.array_equal(part.weights, weight)  # type: ignore[arg-type]


def test_what_comes_in_batches_is_refused_where_it_does_not_end_or_differs() -> None:
    class Endless(keras.utils.PyDataset):  # type: ignore[misc]
        @property
        def num_batches(self) -> None:
            return None

        def __getitem__(self, index: int) -> Any:
            return brought.batch(index)

    with pytest.raises(DataError, match=r"^data: a keras\.utils\.PyDataset must be finite"):
        as_data(Endless())
    with pytest.raises(DataError, match=r"^data: every batch must be \(x, y\) or .*, got ndarray in batch 1$"):
        as_data(iter([np.zeros((3, 2))]))
    with pytest.raises(DataError, match=r"^data: every batch must be like the first, but batch 2 is not"):
        as_data(iter([brought.batch(0), (np.zeros((3, 9)), np.zeros(3))]))
    with pytest.raises(DataError, match=r"^data: has no rows$"):
        as_data(iter([]))


def test_what_a_generator_raises_is_one_sentence_with_its_place_and_complex_numbers_are_refused() -> None:
    said = r"^data: breaks \(.*brought\.py, line \d+\) raises OSError: no such file: day3\.npz$"
    with pytest.raises(ConfigError, match=said):
        prepared("breaks")
    with pytest.raises(DataError, match=r"^data: features must be real numbers, got complex128$"):
        as_data((np.zeros((4, 2)) + 1j, np.arange(4) % 2))


def test_figure_of_labels_is_drawn(tmp_path: Path) -> None:
    from kexp.tracking.record.figures import labels

    random = np.random.default_rng()
    true, predicted = random.integers(0, 2, (40, 3)), random.random((40, 3))
    true[:, 2] = 1  # no area under a curve without rows of both
    assert labels(true, predicted, tmp_path / "labels.png", names=["a", "b", "c"]).stat().st_size > 5000


def test_soft_labels_train_with_a_loss_of_classes_as_in_keras() -> None:
    trial = prepared("soft_labels", "loss=categorical_crossentropy", "metrics=[accuracy]")
    model = build_compiled(trial)
    x, y = trial.splits.train.arrays()
    p = model.predict(x, verbose=0)
    assert np.allclose(p.sum(axis=1), 1)
    found = model.evaluate(x, y, batch_size=len(x), verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(-(y * np.log(p)).sum(axis=1).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((y.argmax(axis=1) == p.argmax(axis=1)).mean())
    with pytest.raises(DataError, match="divergence is for a classification, but the data is a regression whose rows"):
        prepared("forecast", "loss=kl_divergence")

"""Fit, evaluate and predict on the digits, through both feeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest

from kexp import training
from kexp.data import Feed, Splits, as_data, class_weights, feed, split
from kexp.data.sources.builtin import digits
from kexp.errors import ConfigError, TrainingError
from kexp.training import Plan, Stop, compile_model, evaluate, fit, predict
from kexp.training.history import History

Batches = Callable[..., Feed]


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(as_data(digits()), test=0.2, validation=0.2, seed=0)


@pytest.fixture(params=["numpy", "tfdata"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def linear(plan: Plan, steps: int, *, rate: float = 0.01, metrics: Any = ("accuracy",), **kwargs: Any) -> keras.Model:
    """A single layer, the same for every call."""
    training.seed_everything(5)
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10, activation="softmax")])
    loss = "sparse_categorical_crossentropy"
    compile_model(model, plan, steps, optimizer=keras.optimizers.SGD(rate, **kwargs), loss=loss, metrics=list(metrics))
    return model


def softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def surprise(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-log p of the true class, from logits, row by row."""
    highest = z.max(axis=1)
    normaliser = highest + np.log(np.exp(z - highest[:, None]).sum(axis=1))
    return np.asarray(normaliser - z[np.arange(len(y)), y.astype(int)])


def crossentropy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a linear model, by the formula, in double precision."""
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    z = x.astype("float64") @ kernel + bias
    return float(surprise(z, y).mean()), float((z.argmax(axis=1) == y).mean())


def test_evaluate_and_predict_take_every_row_once_with_partial_batches(splits: Splits, kind: str) -> None:
    rows = len(splits.validation)
    batches = feed(splits.validation, kind=kind, batch_size=50, shuffle=False)
    assert rows % 50
    model = linear(Plan(epochs=1, steps_per_execution=36), steps=36)
    x, y = splits.validation.arrays()
    loss, accuracy = crossentropy(model, x, y)
    measured = evaluate(model, batches)
    assert measured["loss"] == pytest.approx(loss, rel=1e-5)
    assert measured["accuracy"] == pytest.approx(accuracy, rel=1e-6)
    kernel, bias = model.get_weights()
    predicted = predict(model, batches, rows)
    assert predicted.shape == (rows, 10)
    np.testing.assert_allclose(predicted, softmax(x @ kernel + bias), rtol=1e-4, atol=1e-6)


def test_one_epoch_of_sgd_equals_the_formula_in_numpy(splits: Splits, kind: str) -> None:
    """Also: an epoch is each row once, whatever number of steps a compiled call takes."""
    plan = Plan(epochs=1, steps_per_execution=36)
    batches = feed(splits.train, kind=kind, batch_size=32, seed=1)
    model = linear(plan, batches.steps_per_epoch, rate=0.001)
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    for step in range(batches.steps_per_epoch):
        x, y = batches.batch(batches.rows(step))[:2]
        slope = softmax(x @ kernel + bias) - np.eye(10)[y.astype(int)]
        kernel = kernel - 0.001 * x.T @ slope / len(x)
        bias = bias - 0.001 * slope.mean(axis=0)
    fit(model, batches, None, plan)
    assert int(model.optimizer.iterations) == batches.steps_per_epoch
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(model.get_weights()[1], bias, rtol=2e-4, atol=2e-5)


def test_both_feeds_and_every_number_of_steps_a_call_give_the_same_history(splits: Splits) -> None:
    histories = []
    for kind, steps in (("numpy", 36), ("tfdata", 12), ("tfdata", 1)):
        plan = Plan(epochs=2, steps_per_execution=steps)
        batches = feed(splits.train, kind=kind, batch_size=32, seed=1, epochs=2)
        model = linear(plan, batches.steps_per_epoch)
        held_out = feed(splits.validation, kind=kind, batch_size=32, shuffle=False)
        histories.append(fit(model, batches, held_out, plan).epochs)
        assert int(model.optimizer.iterations) == 2 * batches.steps_per_epoch
    assert all(history == histories[0] for history in histories)
    assert [epoch for epoch, _ in histories[0]] == [1, 2]
    assert list(histories[0][0][1]) == ["loss", "accuracy", "val_loss", "val_accuracy"]


@pytest.mark.parametrize(
    ("steps", "asked", "given"),
    [
        *[(1, "auto", 1), (36, "auto", 36), (64, "auto", 64), (100, "auto", 50), (1000, "auto", 50)],
        *[(127, "auto", 127), (509, "auto", 509), (521, "auto", 1)],
        *[(36, 10, 9), (36, 12, 12), (37, 10, 1), (36, 100, 36)],
    ],
)
def test_steps_a_call_divide_the_epoch(steps: int, asked: int | str, given: int) -> None:
    assert Plan(epochs=200, steps_per_execution=asked).executions(steps) == given


@pytest.mark.parametrize(("epochs", "done", "given"), [(1, 0, 1), (2, 0, 1), (3, 0, 64), (10, 8, 1)])
def test_a_short_training_takes_one_step_a_call(epochs: int, done: int, given: int) -> None:
    assert Plan(epochs=epochs, initial_epoch=done).executions(64) == given


def test_validation_steps_measure_exactly_the_first_batches(splits: Splits, kind: str) -> None:
    plan = Plan(epochs=1, validation_steps=4)
    batches = feed(splits.train, kind=kind, batch_size=32, epochs=1)
    model = linear(plan, batches.steps_per_epoch)
    history = fit(model, batches, feed(splits.validation, kind=kind, batch_size=32, shuffle=False), plan)
    x, y = splits.validation.arrays()
    loss, accuracy = crossentropy(model, x[:128], y[:128])
    assert history.last["val_loss"] == pytest.approx(loss, rel=1e-4)
    assert history.last["val_accuracy"] == pytest.approx(accuracy, rel=1e-6)
    assert history.notices == []


def test_epochs_count_on_from_the_initial_epoch_and_take_its_batches(splits: Splits) -> None:
    """Two epochs, and then two more by a second fit, are four."""
    whole, halves = Plan(epochs=4), (Plan(epochs=2), Plan(epochs=4, initial_epoch=2))
    batches = feed(splits.train, batch_size=32, epochs=4)
    one, other = linear(whole, batches.steps_per_epoch), linear(whole, batches.steps_per_epoch)
    expected = fit(one, batches, None, whole).epochs
    told = [epoch for plan in halves for epoch in fit(other, batches, None, plan).epochs]
    assert told == expected


def test_an_initial_epoch_past_the_last_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trainer.initial_epoch: must be less than trainer.epochs \(3\), got 3"):
        Plan(epochs=3, initial_epoch=3)


def test_class_weights_weigh_the_loss_and_leave_the_metrics(splits: Splits, kind: str) -> None:
    weights = {index: float(weight) for index, weight in enumerate(np.random.default_rng().uniform(0.1, 3, size=10))}
    assert class_weights(splits.train, weights)
    plan = Plan(epochs=1)
    batches = feed(splits.train, kind=kind, batch_size=32, class_weight=weights, epochs=1)
    model = linear(plan, batches.steps_per_epoch, rate=1e-12)
    x, y = splits.train.arrays()
    kernel, bias = model.get_weights()
    z = x.astype("float64") @ kernel + bias
    own = surprise(z, y) * np.array([weights[int(each)] for each in y])
    history = fit(model, batches, None, plan)
    assert history.last["loss"] == pytest.approx(own.mean(), rel=1e-4)
    assert history.last["accuracy"] == pytest.approx((z.argmax(axis=1) == y).mean(), rel=1e-6)


@pytest.mark.parametrize(("steps", "where"), [(1, r"step \d+"), (12, r"steps (1 to 12|13 to 24|25 to 36)")])
def test_a_loss_that_turns_nan_ends_training_with_its_place_and_its_history(
    splits: Splits, kind: str, steps: int, where: str
) -> None:
    plan = Plan(epochs=5, steps_per_execution=steps)
    batches = feed(splits.train, kind=kind, batch_size=32, epochs=5)
    model = linear(plan, batches.steps_per_epoch, rate=0.01)
    told: list[int] = []

    def spoil(epoch: int, metrics: Mapping[str, float]) -> None:
        told.append(epoch)
        if epoch == 2:
            model.set_weights([np.full((64, 10), np.inf, "float32"), np.zeros(10, "float32")])

    with pytest.raises(TrainingError, match=rf"^the loss became (nan|inf) in epoch 3, {where}$") as caught:
        fit(model, batches, None, plan, listeners=[spoil])
    history: History = caught.value.history  # type: ignore[attr-defined]
    assert [epoch for epoch, _ in history.epochs] == [1, 2, 3] == told
    assert math.isfinite(history.epochs[1][1]["loss"])
    assert not math.isfinite(history.epochs[2][1]["loss"])


def test_a_validation_loss_that_turns_nan_ends_training(splits: Splits) -> None:
    part = splits.validation
    x, y = part.arrays()
    spoilt = np.where(np.arange(len(x))[:, None] == 3, np.nan, x).astype("float32")

    class Spoilt:
        steps_per_epoch = 1

        def once(self, steps: int | None = None) -> Any:
            import tensorflow as tf

            return tf.data.Dataset.from_tensor_slices((spoilt, y)).batch(100)

        def epochs(self, first_epoch: int = 0) -> Any:
            raise NotImplementedError

    plan = Plan(epochs=3)
    batches = feed(splits.train, batch_size=32, epochs=3)
    with pytest.raises(TrainingError, match="the validation loss became nan in epoch 1"):
        fit(linear(plan, batches.steps_per_epoch), batches, Spoilt(), plan)


@pytest.mark.parametrize("raises", [True, False])
def test_a_listener_ends_training_after_its_epoch_with_its_reason(splits: Splits, raises: bool) -> None:
    told: list[int] = []

    def prune(epoch: int, metrics: Mapping[str, float]) -> str | None:
        if epoch == 2 and raises:
            raise Stop("pruned: worse than the median")
        return "pruned: worse than the median" if epoch == 2 else None

    plan = Plan(epochs=5)
    batches = feed(splits.train, batch_size=32, epochs=5)
    model = linear(plan, batches.steps_per_epoch)
    history = fit(model, batches, None, plan, listeners=[prune, lambda epoch, _: told.append(epoch)])
    assert history.stopped == "pruned: worse than the median"
    assert told == [1, 2]
    assert len(history) == 2


def test_early_stopping_leaves_the_best_weights_and_says_which(splits: Splits) -> None:
    plan = Plan(epochs=30)
    batches = feed(splits.train, batch_size=32, epochs=30)
    held_out = feed(splits.validation, batch_size=32, shuffle=False)
    model = linear(plan, batches.steps_per_epoch, rate=0.3)
    stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True)
    history = fit(model, batches, held_out, plan, callbacks=[stopping])
    losses = history.columns()["val_loss"]
    assert len(history) < 30
    assert history.best_epoch == int(np.argmin(losses)) + 1 == len(history) - 2
    assert history.stopped == f"EarlyStopping on val_loss after epoch {len(history)} of 30"
    assert evaluate(model, held_out)["loss"] == pytest.approx(min(losses), rel=1e-6)


def test_a_callback_that_monitors_what_is_not_measured_is_refused(splits: Splits) -> None:
    plan = Plan(epochs=5)
    batches = feed(splits.train, batch_size=32, epochs=5)
    stopping = keras.callbacks.EarlyStopping(monitor="val_acuracy", mode="max")
    held_out = feed(splits.validation, batch_size=32, shuffle=False)
    with pytest.raises(ConfigError, match=r"EarlyStopping.monitor: .* 'val_acuracy'; did you mean 'val_accuracy'\?"):
        fit(linear(plan, batches.steps_per_epoch), batches, held_out, plan, callbacks=[stopping])


def test_steps_are_told_within_an_epoch(splits: Splits) -> None:
    class Listener:
        def __init__(self) -> None:
            self.told: list[tuple[int, int, int]] = []

        def __call__(self, epoch: int, metrics: Mapping[str, float], /) -> None:
            self.told.append((epoch, 0, 0))

        def step(self, epoch: int, step: int, steps: int, metrics: Mapping[str, float], /) -> None:
            assert math.isfinite(metrics["loss"])
            self.told.append((epoch, step, steps))

    listener, plan = Listener(), Plan(epochs=1, steps_per_execution=12)
    batches = feed(splits.train, batch_size=32, epochs=1)
    fit(linear(plan, batches.steps_per_epoch), batches, None, plan, listeners=[listener])
    assert listener.told == [(1, 12, 36), (1, 24, 36), (1, 0, 0)]


def test_xla_is_used_where_it_is_asked_for(splits: Splits) -> None:
    plain, xla = Plan(epochs=1, jit_compile=False), Plan(epochs=1, jit_compile=True)
    batches = feed(splits.train, batch_size=32, epochs=1)
    histories = []
    for plan in (plain, xla):
        model = linear(plan, batches.steps_per_epoch, rate=0.001)
        assert model.jit_compile is plan.jit_compile
        histories.append(fit(model, batches, None, plan))
    assert histories[1].last["loss"] == pytest.approx(histories[0].last["loss"], rel=1e-4)
    assert histories[1].notices == []


def test_mixed_precision_scales_the_loss_and_trains(splits: Splits) -> None:
    plan = Plan(epochs=2)
    batches = feed(splits.train, batch_size=32, epochs=2)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = linear(plan, batches.steps_per_epoch)
        assert type(model.optimizer).__name__ == "LossScaleOptimizer"
        losses = fit(model, batches, None, plan).columns()["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert losses[1] < losses[0]


def test_warnings_of_keras_become_notices(splits: Splits) -> None:
    import warnings

    class Warns(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            warnings.warn("something the\nuser should know", stacklevel=1)

    plan = Plan(epochs=2)
    batches = feed(splits.train, batch_size=32, epochs=2)
    history = fit(linear(plan, batches.steps_per_epoch), batches, None, plan, callbacks=[Warns()])
    assert history.notices == ["something the user should know"]

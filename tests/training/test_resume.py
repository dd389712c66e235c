"""What is special about resuming, in one process: every kind of state, the ends of a training, and what is told."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kexp import training
from kexp.data import Splits, as_data, feed, split
from kexp.data.sources.builtin import digits
from kexp.errors import ConfigError
from kexp.training import Checkpointing, History, Plan, Stop, compile_model, fit

EPOCHS = 4


class KilledError(BaseException):
    """Ends a training as a signal does: it is nobody's mistake, so `fit` makes no sentence of it."""


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(as_data(digits()), test=0.2, validation=0.2, seed=0)


@pytest.fixture(scope="module")
def whole(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A training that nothing happens to."""
    return train(splits, tmp_path_factory.mktemp("whole"))


class Unseeded(keras.layers.Layer):
    """Draws from Keras' global generator."""

    def call(self, x: Any, training: bool = False) -> Any:
        return x + 0.1 * keras.random.normal(keras.ops.shape(x)) if training else x


class Outcome:
    """All that must be equal."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, model: keras.Model, history: History) -> None:
        self.history, self.keras_history = history, model.history.history
        variables = [*model.variables, *model.optimizer.variables]
        self.variables = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Outcome)
        return (
            self.history.epochs == other.history.epochs
            and self.history.stopped == other.history.stopped
            and self.history.best_epoch == other.history.best_epoch
            and self.keras_history == other.keras_history
            and all(a.tobytes() == b.tobytes() for a, b in zip(self.variables, other.variables, strict=True))
        )


def train(
    splits: Splits,
    folder: Path,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    listeners: Sequence[Any] = (),
    killed_at: int | None = None,
    every: int | None = 1,
    fingerprint: str = "f",
    hidden: int = 8,
    layer: keras.layers.Layer | None = None,
    **of_feed: Any,
) -> Outcome:
    def kill(epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == killed_at:
            raise KilledError

    training.seed_everything(11)
    dense = keras.layers.Dense
    model = keras.Sequential(
        [keras.layers.Input((64,)), dense(hidden, "relu"), layer or keras.layers.Dropout(0.2), dense(10, "softmax")]
    )
    plan = Plan(epochs=EPOCHS)
    batches = feed(splits.train, batch_size=32, seed=11, epochs=EPOCHS, **of_feed)
    compile_model(
        model,
        plan,
        batches.steps_per_epoch,
        optimizer=keras.optimizers.Adam(0.01),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    checkpoint = Checkpointing(folder, fingerprint, every_epochs=every)
    held_out = feed(splits.validation, batch_size=32, shuffle=False)
    listeners = [*listeners, kill]
    history = fit(model, batches, held_out, plan, callbacks=callbacks, listeners=listeners, checkpoint=checkpoint)
    return Outcome(model, history)


def kill_and_resume(splits: Splits, folder: Path, make: Any = lambda: (), **settings: Any) -> tuple[Outcome, Outcome]:
    """An uninterrupted training, and one that was killed after its third epoch and then resumed."""
    whole = train(splits, folder / "whole", callbacks=make(), **settings)
    with pytest.raises(KilledError):
        train(splits, folder / "killed", callbacks=make(), killed_at=3, **settings)
    return whole, train(splits, folder / "killed", callbacks=make(), **settings)


def test_an_epoch_of_fewer_steps_goes_on_where_it_stopped(splits: Splits, tmp_path: Path) -> None:
    whole, resumed = kill_and_resume(splits, tmp_path, steps_per_epoch=10, kind="tfdata")
    assert resumed.history.resumed_from == 2
    assert resumed == whole


def test_the_unseeded_random_numbers_of_a_layer_go_on(splits: Splits, tmp_path: Path) -> None:
    whole, resumed = kill_and_resume(splits, tmp_path, layer=Unseeded())
    assert resumed == whole


def test_without_a_checkpoint_yet_training_starts_anew(splits: Splits, whole: Outcome, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(splits, tmp_path, killed_at=2, every=3)
    resumed = train(splits, tmp_path, every=3)
    assert resumed.history.resumed_from == 0
    assert resumed == whole


class Drawing(keras.callbacks.Callback):  # type: ignore[misc]
    """State of every plain kind, random numbers, and a variable."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: dict[str, Any] = {"array": np.zeros(3), "list": [0.0], "none": None}
        self.count = keras.Variable(0.0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.sums["array"] = self.sums["array"] + np.random.rand(3)
        self.sums["list"].append(self.sums["list"][-1] + random.random())
        self.count.assign_add(logs["loss"])
        logs["drawn"] = float(self.sums["array"].sum() + self.sums["list"][-1] + self.count.numpy())


class Asked(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps what no checkpoint could, and says itself what it needs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = iter(range(100))
        self.last = -1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.last = next(self.seen)
        logs["seen"] = self.last

    def get_state(self) -> dict[str, Any]:
        return {"last": self.last}

    def set_state(self, state: dict[str, Any]) -> None:
        self.last = state["last"]
        self.seen = iter(range(self.last + 1, 100))


def test_callbacks_go_on_with_what_they_knew(splits: Splits, tmp_path: Path) -> None:
    callbacks = keras.callbacks

    def make() -> list[keras.callbacks.Callback]:
        return [
            callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7),
            callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=0.6, cooldown=1),
            callbacks.EarlyStopping("val_accuracy", patience=2, min_delta=0.2, restore_best_weights=True),
            Drawing(),
            Asked(),
        ]

    whole, resumed = kill_and_resume(splits, tmp_path, make)
    assert resumed == whole
    assert resumed.history.notices == []


def test_what_a_callback_wrote_last_is_known_and_what_cannot_be_kept_is_told(splits: Splits, tmp_path: Path) -> None:
    """The loss falls from the first epoch on, so that with `mode="max"` only the first writes."""
    path = tmp_path / "best.weights.h5"

    def make() -> list[keras.callbacks.Callback]:
        return [
            keras.callbacks.ModelCheckpoint(path, "loss", save_best_only=True, save_weights_only=True, mode="max"),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        ]

    killed = make()
    with pytest.raises(KilledError):
        train(splits, tmp_path / "killed", callbacks=killed, killed_at=3)
    killed[1].csv_file.close()  # what a process that is killed leaves to the system
    written = path.stat().st_mtime_ns
    resumed = train(splits, tmp_path / "killed", callbacks=make())
    assert path.stat().st_mtime_ns == written
    assert any(text.startswith("CSVLogger.csv_file holds _io.TextIOWrapper") for text in resumed.history.notices)


def test_a_finished_training_is_not_trained_again(splits: Splits, tmp_path: Path) -> None:
    def make() -> list[keras.callbacks.Callback]:
        return [keras.callbacks.EarlyStopping("val_accuracy", patience=1, min_delta=0.9, restore_best_weights=True)]

    told: list[int] = []
    first = train(splits, tmp_path, callbacks=make())
    again = train(splits, tmp_path, callbacks=make(), listeners=[lambda epoch, _: told.append(epoch)])
    assert again == first
    assert again.history.stopped.startswith("EarlyStopping on val_accuracy after epoch 2")
    assert again.history.best_epoch == 1
    assert told == []


def test_a_pruned_training_stays_pruned(splits: Splits, tmp_path: Path) -> None:
    def prune(epoch: int, metrics: Mapping[str, float]) -> None:
        raise Stop("pruned")

    first = train(splits, tmp_path, listeners=[prune])
    again = train(splits, tmp_path)
    assert again == first
    assert (len(again.history), again.history.stopped) == (1, "pruned")


def test_listeners_hear_of_a_resume_and_of_new_epochs_alone(splits: Splits, tmp_path: Path) -> None:
    class Listener:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def __call__(self, epoch: int, metrics: Mapping[str, float], /) -> None:
            self.told.append(epoch)

        def resumed(self, history: History, /) -> None:
            self.told.append((history.resumed_from, len(history)))

    with pytest.raises(KilledError):
        train(splits, tmp_path, killed_at=3)
    listener = Listener()
    outcome = train(splits, tmp_path, listeners=[listener])
    assert listener.told == [(2, 2), 3, 4]
    assert [epoch for epoch, _ in outcome.history.epochs] == [1, 2, 3, 4]


def test_a_damaged_checkpoint_ends_in_the_same_result_and_is_told(
    splits: Splits, whole: Outcome, tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        train(splits, tmp_path, killed_at=3)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    resumed = train(splits, tmp_path)
    assert resumed.history.resumed_from == 1
    assert resumed == whole
    assert len(resumed.history.notices) == 1
    assert "damaged" in resumed.history.notices[0]


def test_a_checkpoint_that_does_not_fit_is_told_and_not_used(splits: Splits, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(splits, tmp_path, killed_at=2, hidden=6)
    outcome = train(splits, tmp_path)
    assert outcome.history.resumed_from == 0
    assert "does not fit: it holds float32[64, 6]" in outcome.history.notices[0]
    assert outcome.history.notices[0].endswith("training starts from the beginning")


def test_a_checkpoint_of_another_experiment_is_refused(splits: Splits, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(splits, tmp_path, killed_at=2)
    with pytest.raises(ConfigError, match=r"trainer.checkpoint: .* another experiment"):
        train(splits, tmp_path, fingerprint="g")


def test_backup_and_restore_is_refused(splits: Splits, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BackupAndRestore"):
        train(splits, tmp_path / "a", callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "b")])


def test_training_goes_on_where_no_checkpoint_can_be_written(splits: Splits, whole: Outcome, tmp_path: Path) -> None:
    def block(epoch: int, metrics: Mapping[str, float]) -> None:
        # A folder stands where the file is to be, and is not empty.
        (tmp_path / "blocked" / f"epoch-{epoch:08}.checkpoint" / "x").mkdir(parents=True)

    blocked = train(splits, tmp_path / "blocked", listeners=[block], every=EPOCHS)
    assert blocked == whole


def test_mixed_precision_resumes_exactly(splits: Splits, tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        whole, resumed = kill_and_resume(splits, tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    assert resumed == whole

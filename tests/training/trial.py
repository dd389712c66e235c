"""One small training on the digits with everything on that a resume must bring back, and ways to kill it.

Run as a program it imports Keras once, and then forks for every case a training that is killed, one that resumes it,
and one that nothing happened to: `python trial.py BACKEND FOLDER OPTIMIZER:FEED:POINT ...`. A feed that ends in
`-weights` has rows that count differently.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

EPOCHS, CALL = 5, 12
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# Where a kill strikes: (epoch, moment). "save" is while the temporary file is written, "saved" once it has its name.
POINTS = {
    "before": (0, "begin"),
    "first-mid": (1, "mid"),
    "first-end": (1, "end"),
    "first-save": (1, "save"),
    "first-saved": (1, "saved"),
    "middle-mid": (3, "mid"),
    "middle-end": (3, "end"),
    "middle-save": (3, "save"),
    "middle-saved": (3, "saved"),
    "last-mid": (EPOCHS, "mid"),
    "last-save": (EPOCHS, "save"),
    "last-saved": (EPOCHS, "saved"),
}


class Killer:
    """Sends this process a signal at one moment of one epoch."""

    def __init__(self, point: str | None) -> None:
        self.at = POINTS[point] if point else None
        self.signal = SIGNALS[list(POINTS).index(point) % len(SIGNALS)] if point else None
        self.epoch = 0
        fsync, replace = os.fsync, os.replace

        def stopping_fsync(descriptor: int) -> None:
            self.reached("save")
            fsync(descriptor)

        def stopping_replace(*paths: Any) -> None:
            replace(*paths)
            self.reached("saved")

        if self.at is not None:
            os.fsync, os.replace = stopping_fsync, stopping_replace

    def reached(self, moment: str) -> None:
        if self.at == (self.epoch, moment):
            os.kill(os.getpid(), self.signal)
            time.sleep(30)


def train(optimizer: str, kind: str, folder: Path, *, point: str | None = None) -> dict[str, Any]:
    """Trains, or resumes, and gives back all that must be equal. Early stopping ends it after `EPOCHS` epochs."""
    import keras
    import numpy as np

    from kexp import training
    from kexp.data import as_data, feed, split
    from kexp.data.sources.builtin import digits

    killer, epochs = Killer(point), EPOCHS + 2
    layers = keras.layers

    class Kills(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            killer.reached("begin")

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            killer.epoch = epoch + 1

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch + 1 == CALL:
                killer.reached("mid")

    class Draws(keras.callbacks.Callback):
        """Depends on the global generators of Python and NumPy, and on what it saw before."""

        def __init__(self) -> None:
            super().__init__()
            self.seen = [np.zeros(2), 0.0]

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen = [self.seen[0] + logs["loss"], self.seen[1] + random.random() + np.random.rand()]
            logs["drawn"] = float(self.seen[0].sum() + self.seen[1])

    kind, _, weighted = kind.partition("-")
    data = as_data(digits())
    if weighted:
        x, y = data.source.read(np.arange(len(data)))
        data = as_data((x, y, np.linspace(0.2, 3, len(data))))
    splits = split(data, test=0.2, validation=0.2, seed=0)
    training.seed_everything(7)
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(24, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    batches = feed(splits.train, kind=kind, batch_size=32, seed=7, epochs=epochs)
    held_out = feed(splits.validation, kind=kind, batch_size=32, shuffle=False)
    plan = training.Plan(epochs=epochs, steps_per_execution=CALL)
    training.compile_model(
        model,
        plan,
        batches.steps_per_epoch,
        optimizer=_optimizer(keras, optimizer, batches.steps_per_epoch * epochs),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["accuracy"] if weighted else None,
    )
    callbacks = [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=epochs, restore_best_weights=True),
        keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=100.0, patience=EPOCHS - 1),
        Draws(),
        Kills(),
    ]

    def told(epoch: int, metrics: Any) -> None:
        with (folder / "told").open("a") as lines:
            lines.write(json.dumps([epoch, dict(metrics)]) + "\n")
        killer.reached("end")

    folder.mkdir(parents=True, exist_ok=True)
    history = training.fit(
        model,
        batches,
        held_out,
        plan,
        callbacks=callbacks,
        listeners=[told],
        checkpoint=training.Checkpointing(folder / "checkpoints", fingerprint="a trial"),
    )
    variables = [*model.variables, *model.optimizer.variables]
    return {
        "history": history,
        "keras_history": model.history.history,
        "variables": [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables],
        "measured": training.evaluate(model, held_out),
    }


def _optimizer(keras: Any, name: str, steps: int) -> Any:
    optimizers, schedules = keras.optimizers, keras.optimizers.schedules
    if name == "sgd":
        return optimizers.SGD(schedules.CosineDecay(0.05, steps), momentum=0.9, nesterov=True)
    if name == "rmsprop":
        rate = schedules.ExponentialDecay(0.003, steps, 0.1)
        return optimizers.RMSprop(rate, momentum=0.5, use_ema=True, ema_overwrite_frequency=50)
    return optimizers.Adam(schedules.PolynomialDecay(0.01, steps, 0.001, power=2.0), amsgrad=True)


def _write(result: dict[str, Any], path: Path) -> None:
    import numpy as np

    history = result["history"]
    text = json.dumps(
        [history.epochs, result["keras_history"], result["measured"], history.best_epoch, history.stopped]
    )
    seen = {"resumed_from": history.resumed_from, "notices": history.notices}
    arrays = {str(i): array for i, array in enumerate(result["variables"])}
    np.savez(path, text=np.array(text), seen=np.array(json.dumps(seen)), **arrays)


def _forked(optimizer: str, kind: str, folder: Path, point: str | None, result: Path | None) -> int:
    """Trains in a process of its own; returns the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        try:
            outcome = train(optimizer, kind, folder, point=point)
            if result:
                _write(outcome, result)
            os._exit(0)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                os._exit(128 + signal.SIGINT)
            import traceback

            traceback.print_exc()
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    return -code if code < 0 else max(0, code - 128) if code != 1 else -1


def main(backend: str, folder: Path, cases: list[str]) -> None:
    from kexp import training

    training.prepare_backend(backend)
    for case in cases:
        optimizer, kind, point = case.split(":")
        whole = folder / f"{optimizer}-{kind}.npz"
        if not whole.exists():
            _forked(optimizer, kind, folder / f"{optimizer}-{kind}", None, whole)
        killed = folder / f"{optimizer}-{kind}-{point}"
        ended = _forked(optimizer, kind, killed, point, None)
        _forked(optimizer, kind, killed, None, killed.with_suffix(".npz"))
        print(json.dumps({"case": case, "signal": ended}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])

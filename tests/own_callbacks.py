"""Callbacks as people write them for Keras, chosen by reference; what they saw goes into the logs."""

from __future__ import annotations

import os
import sys
from typing import Any

import keras
import numpy as np

Logs = dict[str, Any] | None


class WeightNorm(keras.callbacks.Callback):
    """Reads the weights through the variables."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        assert logs is not None
        logs["weight_norm"] = float(sum((np.asarray(w) ** 2).sum() for w in self.model.trainable_variables) ** 0.5)


class WarmRestarts(keras.callbacks.Callback):
    """Sets the learning rate before each epoch."""

    def __init__(self, period: int = 2, top: float = 0.05) -> None:
        super().__init__()
        self.period, self.top = period, top

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.model.optimizer.learning_rate = self.top / (1 + epoch % self.period)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        assert logs is not None
        logs["rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


class AveragedWeights(keras.callbacks.Callback):
    """Keeps a moving average of the weights, which the model has in the end."""

    def on_train_begin(self, logs: Logs = None) -> None:
        self.average = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.average = [0.5 * a + 0.5 * w for a, w in zip(self.average, self.model.get_weights(), strict=True)]

    def on_train_end(self, logs: Logs = None) -> None:
        self.model.set_weights(self.average)


class Snapshots(keras.callbacks.Callback):
    """Writes the model into the working directory after each epoch, and reads it back."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        assert logs is not None
        file = f"snapshot-{os.getpid()}-{epoch}.keras"
        self.model.save(file)
        read = keras.models.load_model(file)
        logs["snapshot"] = float(np.abs(read.get_weights()[0]).sum())
        os.remove(file)


class Confusion(keras.callbacks.Callback):
    """Predicts rows of its own, and evaluates them."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        assert logs is not None
        x = np.random.default_rng(epoch).normal(size=(40, *self.model.input_shape[1:])).astype("float32")
        y = np.arange(40) % self.model.output_shape[-1]
        found = self.model.predict(x, verbose=0)
        table = np.histogram2d(y, found.argmax(1), bins=self.model.output_shape[-1])[0]
        logs["diagonal"] = float(table.trace())
        logs["own_loss"] = float(self.model.evaluate(x, y, verbose=0, return_dict=True)["loss"])


class OwnRule(keras.callbacks.Callback):
    """Ends training by a rule of its own, and says so."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        print("epoch", epoch, self.params["steps"], self.params["epochs"], self.model.optimizer.iterations)
        if epoch == 1:
            self.model.stop_training = True


class KeptKernel(keras.callbacks.Callback):
    """Holds a variable from the beginning on, and halves it after the first epoch."""

    def on_train_begin(self, logs: Logs = None) -> None:
        assert logs == {}
        self.kernel = self.model.layers[-1].kernel

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        assert logs is not None
        logs["kernel"] = float(keras.ops.sum(keras.ops.abs(self.kernel)))
        if epoch == 0:
            self.kernel.assign(self.kernel * 0.5)


class Described(keras.callbacks.Callback):
    """What the model says of itself, by names and counts."""

    def on_train_begin(self, logs: Logs = None) -> None:
        self.model.summary(print_fn=lambda text: None)
        assert isinstance(self.model, keras.Sequential)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        assert logs is not None
        logs["parameters"] = self.model.count_params()
        logs["steps_done"] = int(self.model.optimizer.iterations)
        logs["best_so_far"] = min(self.model.history.history.get("loss", [np.inf])[:1])  # of the epochs before


class Patient(keras.callbacks.EarlyStopping):
    """Keras' own with a word more."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        super().on_epoch_end(epoch, logs)
        assert logs is not None
        logs["waited"] = float(self.wait)


class Freezing(keras.callbacks.Callback):
    """Freezes a layer at an epoch: no lane can do so."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if epoch == 1:
            self.model.layers[-1].trainable = False


class GradientNorm(keras.callbacks.Callback):
    """Takes gradients by TensorFlow's tape, on TensorFlow alone."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        import tensorflow as tf

        assert logs is not None
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(self.model(tf.ones((4, *self.model.input_shape[1:]))) ** 2)
        gradients = tape.gradient(value, self.model.trainable_variables)
        logs["gradient_norm"] = float(tf.linalg.global_norm(gradients))


class LastResults(keras.callbacks.Callback):
    """Reads the compiled metrics, whose values are in the program."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        assert logs is not None
        logs["again"] = float(self.model.metrics[0].result())


class OnlyInAFit(keras.callbacks.Callback):
    """Asks whether there is what there is in a fit."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.model.train_function is None:
            raise RuntimeError("this is no fit")


class Wrong(keras.callbacks.Callback):
    """Fails wherever it runs."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if epoch == 1:
            raise ValueError("wrong in epoch 1")


class Leaves(keras.callbacks.Callback):
    """Ends its process in order."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        sys.exit(4)


class Gone(keras.callbacks.Callback):
    """Ends its process at once."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        os._exit(5)


class Settings(keras.callbacks.Callback):
    """Changes what every model of the process goes by."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        keras.config.set_epsilon(1e-6)


class MissingMonitor(keras.callbacks.Callback):
    """Watches what nobody measures."""

    monitor = "val_nothing"


class Batches(keras.callbacks.Callback):
    """Is called for each batch."""

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.last = float((logs or {})["loss"])


class SwapsOptimizer(keras.callbacks.Callback):
    """Compiles the model with another optimizer before training."""

    def on_train_begin(self, logs: Logs = None) -> None:
        self.model.optimizer.weight_decay = 0.1


def printing() -> keras.callbacks.Callback:
    """Keras' own, with functions for methods."""
    return keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: print(batch, logs["loss"]))

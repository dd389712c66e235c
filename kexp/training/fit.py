"""Fit, evaluate and predict with Keras' own loops. Fit resumes from a checkpoint and notifies listeners."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kexp.errors import ConfigError, KexpError, TrainingError
from kexp.system.quiet import warnings_as_notices
from kexp.system.user_errors import describe_error
from kexp.training.batches import Feed, batches_of
from kexp.training.checkpoints.checkpoint import Checkpoint, Checkpointing, latest_checkpoint
from kexp.training.checkpoints.state import build_optimizer, mismatch, state_variables
from kexp.training.history import History, plain_numbers
from kexp.training.listeners import EpochListener, Stop, notify_resumed
from kexp.training.plan import Plan
from kexp.training.watch import EpochHandler, as_callback, best_epoch, why_stopped

if TYPE_CHECKING:
    import keras
    import numpy as np

    Callbacks = Sequence[keras.callbacks.Callback]

__all__ = ["evaluate", "fit", "predict"]


def fit(
    model: keras.Model,
    train: Feed,
    validation: Feed | None,
    plan: Plan,
    *,
    callbacks: Callbacks = (),
    listeners: Sequence[EpochListener] = (),
    checkpoint: Checkpointing | None = None,
) -> History:
    """Trains a compiled model. Resumes from its last checkpoint if there is one.

    With the same seed, model, data and callbacks, a training that was killed and resumed ends with the same weights,
    optimizer, history and callbacks, bit for bit, as one that ran through.

    Args:
        model: built and compiled.
        train: the training batches.
        validation: evaluated after each epoch; None for no validation.
        plan: epochs and steps.
        callbacks: Keras callbacks.
        listeners: called with (epoch from 1, metrics) after each epoch, before its checkpoint is written. A listener
            that raises `Stop` or returns a string ends training. See `training.listeners`.
        checkpoint: where to look for a checkpoint and when to write one; None for no checkpoints.

    Returns:
        The history, with the epochs from before a resume.

    Raises:
        TrainingError: the loss is not finite, or the model's code failed. The error's `history` holds the metrics so
            far.
        ConfigError: a callback monitors an unknown metric, or the checkpoint belongs to another experiment.
    """
    callbacks = _with_keras_history(callbacks)
    _create_variables(model, train)
    found, history = _resume(model, callbacks, checkpoint)
    if found is not None:
        notify_resumed(listeners, history)
    steps = train.steps_per_epoch
    handler = EpochHandler(
        plan, history, steps=steps, callbacks=callbacks, listeners=listeners, checkpoint=checkpoint, found=found
    )
    first = plan.initial_epoch if found is None else plan.epochs if found.finished else found.epoch
    # A training that had finished only runs its callbacks' `on_train_end`; Keras requires data all the same.
    batches = train.epochs(first if first < plan.epochs else plan.initial_epoch)
    held_out = None if validation is None else validation.once(plan.validation_steps)
    with warnings_as_notices(history.notice), _failures_in_a_sentence(history):
        model.fit(
            batches,
            steps_per_epoch=steps,
            validation_data=held_out,
            validation_freq=plan.validation_freq,
            epochs=plan.epochs,
            initial_epoch=first,
            callbacks=[*callbacks, as_callback(handler)],
            verbose=0,
            shuffle=False,
        )
    return _finished(handler, history, callbacks, plan)


def evaluate(model: keras.Model, feed: Feed) -> dict[str, float]:
    """Measures the compiled loss and metrics over one pass.

    Args:
        model: built and compiled.
        feed: the batches.

    Returns:
        Metric name -> value; the loss is `loss`.

    Raises:
        TrainingError: the model's code failed.
    """
    with warnings_as_notices(lambda _: None), _failures_in_a_sentence(History()):
        measured = model.evaluate(feed.once(), verbose=0, return_dict=True)
    return plain_numbers(measured)


def predict(model: keras.Model, feed: Feed, rows: int) -> np.ndarray:
    """Predicts each row of one pass, in order.

    Args:
        model: built.
        feed: the batches.
        rows: how many they have in all.

    Returns:
        The predictions, shape (rows, outputs).
    """
    import numpy as np

    from kexp.system.large_arrays import filled

    # `model.predict` would unroll as many copies of the model into one graph as there are steps in a compiled call.
    with warnings_as_notices(lambda _: None):
        batches = (np.asarray(model.predict_on_batch(np.asarray(batch[0]))) for batch in batches_of(feed))
        return filled(rows, batches)


@contextlib.contextmanager
def _failures_in_a_sentence(history: History) -> Iterator[None]:
    """Turns an exception of a loss, metric, layer or callback into one sentence that names the function."""
    try:
        yield
    except (KexpError, Stop, OSError, MemoryError):
        raise
    except Exception as error:  # user code may raise anything
        if type(error).__name__ == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in str(error):
            raise  # TensorFlow or JAX ran out of memory: the user's code is not at fault
        raise _failed(f"training failed: {describe_error(error)}", history) from error


def _failed(why: str, history: History) -> TrainingError:
    error = TrainingError(why)
    error.history = history  # type: ignore[attr-defined]
    return error


def _create_variables(model: keras.Model, train: Feed) -> None:
    """Creates the variables of the optimizer and the metrics on TensorFlow before the first step.

    Otherwise the first step creates them and is traced a second time. On other backends Keras does this itself.
    """
    import keras

    if keras.config.backend() != "tensorflow":
        return
    dataset = train.once()
    batch = dataset[0] if isinstance(dataset, keras.utils.PyDataset) else dataset.element_spec
    with contextlib.suppress(Exception):  # the first step then creates them
        model._symbolic_build(data_batch=batch)


def _resume(
    model: keras.Model, callbacks: Callbacks, checkpoint: Checkpointing | None
) -> tuple[Checkpoint | None, History]:
    """Returns the checkpoint to resume from, None for none, and the history so far with notices about checkpoints."""
    if checkpoint is None:
        return None, History()
    if any(type(callback).__name__ == "BackupAndRestore" for callback in callbacks):
        raise ConfigError("callbacks: BackupAndRestore must not be used with trainer.checkpoint, which resumes exactly")
    found, notices = latest_checkpoint(checkpoint)
    if found is not None:
        build_optimizer(model)
        problem = mismatch(found.state, state_variables(model), callbacks)
        if problem:
            notices.append(f"the checkpoint does not fit: {problem}; training starts from the beginning")
            found = None
    history = found.history if found else History()
    for text in [*notices, *(found.lost if found else ())]:
        history.notice(text)
    return found, history


def _with_keras_history(callbacks: Callbacks) -> Callbacks:
    """Adds Keras' History to the callbacks, so that `model.history` is complete after a resume too."""
    import keras

    if any(isinstance(callback, keras.callbacks.History) for callback in callbacks):
        return list(callbacks)
    return [*callbacks, keras.callbacks.History()]


def _finished(handler: EpochHandler, history: History, callbacks: Callbacks, plan: Plan) -> History:
    """Completes the history at the end of a training: its duration, its best epoch, why it stopped early."""
    history.duration_s = handler.spent_s()
    history.best_epoch = best_epoch(callbacks)
    if handler.diverged:
        raise _failed(handler.diverged, history)
    if not history.stopped and history.epochs[-1][0] < plan.epochs:
        history.stopped = why_stopped(callbacks, history.epochs[-1][0], plan.epochs)
    return history

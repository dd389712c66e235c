"""A module's own parts against plain `compile` and `fit`: for TensorFlow in tests/, for JAX in tests/fused/."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SMALL = ("data=iris", "trainer.epochs=2", "trainer.verbose=0", "trainer.shuffle=false", "tracking=none", "save=none")
PLAIN = ("model.hidden=[8]", "model.normalize=false")

# In the order of `cases`; known without importing Keras.
NAMES = (
    "a loss",
    "with a parameter",
    "a partial",
    "of class numbers",
    "an object",
    "a method",
    "a Loss",
    "a metric",
    "a Metric",
    "an activation",
    "a regularizer",
    "one with a parameter",
    "a constraint",
    "a schedule",
    "an optimizer",
    "a Schedule",
    "a callback",
    "functions that are made",
    "a member of an enum",
)
Case = tuple[list[str], Callable[[], dict[str, Any]]]  # overrides, and what differs in plain Keras


def cases() -> dict[str, Case]:
    import keras
    import own_parts as own

    def one_hot(loss: Any) -> dict[str, Any]:
        return {"loss": loss, "one_hot": True}

    return {
        "a loss": (["loss=own_parts:squared"], lambda: one_hot(own.squared)),
        "with a parameter": (
            ["loss=own_parts:sharper", "loss.power=3"],
            lambda: one_hot(lambda t, p: own.sharper(t, p, 3.0)),
        ),
        "a partial": (["loss=own_parts:sharpest"], lambda: one_hot(lambda t, p: own.sharper(t, p, 4.0))),
        "of class numbers": (["loss=own_parts:by_index"], lambda: {"loss": own.by_index}),
        "an object": (["loss=own_parts:scaled"], lambda: one_hot(own.scaled.method)),
        "a method": (["loss=own_parts:scaled.method"], lambda: one_hot(own.scaled.method)),
        "a Loss": (["loss=own_parts:soft"], lambda: one_hot(keras.losses.CategoricalCrossentropy(label_smoothing=0.1))),
        "a metric": (
            ["loss=own_parts:squared", "metrics=[own_parts:hit]"],
            lambda: one_hot(own.squared) | {"metrics": [keras.metrics.MeanMetricWrapper(own.hit, name="hit")]},
        ),
        "a Metric": (
            ["loss=own_parts:squared", "metrics=[own_parts:best_two]"],
            lambda: one_hot(own.squared) | {"metrics": [keras.metrics.TopKCategoricalAccuracy(2, name="best_two")]},
        ),
        "an activation": (["activation=own_parts:wave"], lambda: {"activation": own.wave}),
        "a regularizer": (["model.kernel_regularizer=own_parts:lasso"], lambda: {"kernel_regularizer": own.lasso}),
        "one with a parameter": (
            ["model.kernel_regularizer={name: own_parts:lasso, factor: 0.1}"],
            lambda: {"kernel_regularizer": lambda w: own.lasso(w, 0.1)},
        ),
        "a constraint": (["model.kernel_constraint=own_parts:boxed"], lambda: {"kernel_constraint": own.boxed}),
        "a schedule": (["optimizer=sgd", "schedule=own_parts:halving"], lambda: {"rates": own.halving}),
        "an optimizer": (
            ["optimizer=own_parts:heavy_ball", "optimizer.momentum=0.5"],
            lambda: {"optimizer": keras.optimizers.SGD(0.05, momentum=0.5)},
        ),
        "a Schedule": (
            ["optimizer=sgd", "schedule=own_parts:decaying"],
            lambda: {"optimizer": keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9))},
        ),
        "a callback": (
            ["callbacks=[own_parts:shrinking]"],
            lambda: {"callbacks": [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9)]},
        ),
        "functions that are made": (
            [
                "optimizer=sgd",
                "schedule={name: own_parts:rising, peak: 0.2}",
                "model.kernel_regularizer={name: own_parts:penalty, rate: 2}",
                "model.kernel_constraint=own_parts:clipped",
                "model.kernel_initializer={name: own_parts:drawn, scale: 0.2}",
            ],
            lambda: {
                "rates": own.rising(0.2),
                "kernel_regularizer": own.penalty(2.0),
                "kernel_constraint": own.clipped(),
            },
        ),
        "a member of an enum": (
            ["loss=own_parts:error_of", "loss.of=SIZES", "model.kernel_regularizer=own_parts:Penalty"],
            lambda: one_hot(lambda t, p: own.error_of(t, p, own.Of.SIZES)) | {"kernel_regularizer": own.penalty()},
        ),
    }


def check(name: str) -> None:
    """The run's history and weights are those of plain Keras from the same initial weights."""
    import keras
    import numpy as np

    import kexp
    from kexp.experiment import prepare
    from kexp.experiment.compiled import build_compiled

    overrides, plainly = cases()[name]
    result = kexp.run([*SMALL, *PLAIN, f"backend={keras.config.backend()}", *overrides])
    prepared = prepare(result.experiment)
    plain = plainly()
    part = prepared.splits.train
    x, numbers = part.encode("class_index").batch(np.arange(len(part), dtype=np.intp))
    layer = {key: plain[key] for key in ("kernel_regularizer", "kernel_constraint") if key in plain}
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(8, activation=plain.get("activation", "relu"), **layer),
            keras.layers.Dense(3, activation="softmax", **layer),
        ]
    )
    model.set_weights(build_compiled(prepared).get_weights())
    model.compile(
        plain.get("optimizer") or (keras.optimizers.SGD(_Stepwise(plain["rates"])) if "rates" in plain else "adam"),
        plain.get("loss", "sparse_categorical_crossentropy"),
        metrics=plain.get("metrics", ["accuracy"]),
    )
    y = keras.utils.to_categorical(numbers, 3) if plain.get("one_hot") else numbers
    history = model.fit(x, y, batch_size=32, epochs=2, shuffle=False, verbose=0, callbacks=plain.get("callbacks"))
    got = result.history.columns()
    for metric, values in history.history.items():
        np.testing.assert_allclose(got[metric], values, rtol=2e-5, err_msg=metric)
    for ours, theirs in zip(result.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def _Stepwise(function: Callable[[Any], Any]) -> Any:  # noqa: N802 - it makes a class's object
    import keras

    class Stepwise(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return function(step)

    return Stepwise()

"""Rows over `own_kinds`, `own_habits` and `own_tf_kinds`: what is chosen, and what plain Keras is given for it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

Plain = Callable[[Any], dict[str, Any]]  # of the module
_ONE = ("data=breast_cancer", "loss.targets=binary")
_SUM = ("data=diabetes",)
SMALL = ("trainer.epochs=2", "trainer.verbose=0", "trainer.shuffle=false", "tracking=none", "save.model=false")


def _layer(node: str, *words: str, **plain: Any) -> tuple[tuple[str, ...], Plain]:
    return ("model=sequential", f"model.layers=[{{name: Dense, units: 8}}, {node}]", *words), lambda own: plain


def _of_model(*words: str) -> tuple[tuple[str, ...], Plain]:
    return words, lambda own: {}


QUICK: dict[str, tuple[tuple[str, ...], Plain]] = {
    "dice": (("loss=own_kinds:dice_loss",), lambda own: {"loss": own.dice_loss}),
    "focal": (
        ("loss=own_kinds:categorical_focal", "loss.gamma=1.5"),
        lambda own: {"loss": own.categorical_focal(1.5)},
    ),
    "tversky": (("loss=own_kinds:TverskyLoss", "loss.alpha=0.4"), lambda own: {"loss": own.TverskyLoss(0.4)}),
    "pinball": ((*_SUM, "loss=own_kinds:pinball", "loss.q=0.7"), lambda own: {"loss": own.pinball(0.7)}),
    "huber": ((*_SUM, "loss=own_kinds:MyHuber", "loss.threshold=2"), lambda own: {"loss": own.MyHuber(2)}),
    "r2": ((*_SUM, "metrics=[own_kinds:R2]"), lambda own: {"loss": "mse", "metrics": [own.R2()]}),
    "weighted f1": (("metrics=[own_kinds:WeightedF1]",), lambda own: {"metrics": [own.WeightedF1()]}),
    "add_weight": _layer("own_kinds:Linear"),
    "rbf": _layer("{name: own_kinds:RBFLayer, units: 6}"),
    "noise": _layer("own_kinds:MyNoise"),
    "cyclic": (
        ("optimizer=sgd", "callbacks=[own_kinds:CyclicLR]"),
        lambda own: {"optimizer": "sgd", "callbacks": [own.CyclicLR()]},
    ),
    "warm-up": (
        ("optimizer=sgd", "schedule=own_kinds:WarmUpCosine"),
        lambda own: {"optimizer": own.keras.optimizers.SGD(own.WarmUpCosine())},
    ),
    "centralised": (("optimizer=own_kinds:CentralisedSGD",), lambda own: {"optimizer": own.CentralisedSGD()}),
    "sign": (
        ("optimizer=own_kinds:SignSGD", "optimizer.beta=0.8"),
        lambda own: {"optimizer": own.SignSGD(beta=0.8)},
    ),
    "constraint": _of_model("model.kernel_constraint=own_kinds:CenterAround"),
    "initializer": _of_model("model.kernel_initializer=own_kinds:ExampleRandomNormal"),
    "regularizer": _of_model("model.kernel_regularizer={name: own_kinds:L2Regularizer, strength: 0.1}"),
}
HABITS: dict[str, tuple[tuple[str, ...], Plain]] = {
    "closure": (
        ("loss=own_habits:focal_loss", "loss.gamma=2", "loss.alpha=0.5"),
        lambda own: {"loss": own.focal_loss(2.0, 0.5)},
    ),
    "recalls": (
        ("metrics=[own_habits:Recalls]", "loss=categorical_crossentropy"),
        lambda own: {"loss": "categorical_crossentropy", "metrics": [own.Recalls()]},
    ),
    "aria": _of_model("activation=own_habits:Aria", "activation.beta=1.5"),
    "center loss": (("loss=own_habits:CenterLoss",), lambda own: {"loss": own.CenterLoss()}),
    "metric around metrics": (
        ("data=breast_cancer", "metrics=[own_habits:F1]", "loss=binary_crossentropy"),
        lambda own: {"loss": "binary_crossentropy", "metrics": [own.F1()]},
    ),
}
SLOW: dict[str, tuple[tuple[str, ...], Plain]] = {
    "partial": (("loss=own_habits:very_smoothed",), lambda own: {"loss": lambda t, p: own.smoothed(t, p, eps=0.2)}),
    "dataclass": (("loss=own_habits:PolyLoss", "loss.epsilon=2"), lambda own: {"loss": own.PolyLoss(2.0).__call__}),
    "brier": (("loss=own_habits:BrierLoss",), lambda own: {"loss": own.BrierLoss()}),
    "array for a default": (("loss=own_habits:by_class",), lambda own: {"loss": own.by_class}),
    "function for a default": (
        ("optimizer=sgd", "schedule=own_habits:Triangular", "optimizer.schedule.high=0.1"),
        lambda own: {"optimizer": own.keras.optimizers.SGD(own.Triangular(high=0.1))},
    ),
    "lookahead": (
        ("optimizer=own_habits:Lookahead", "optimizer.k=3"),
        lambda own: {"optimizer": own.Lookahead(k=3)},
    ),
    "leaky": _of_model("activation=own_habits:leaky", "activation.slope=0.2"),
    "lambda layer": _of_model("activation=own_habits:squash"),
    "wrapper": _layer("{name: own_habits:ResidualWrap, layer: {name: Dense, units: 8}}"),
    "cell": _layer(
        "{name: Reshape, target_shape: [8, 1]}, {name: RNN, cell: {name: own_habits:MinimalCell, units: 4}}"
    ),
    "dice and bce": ((*_ONE, "loss=own_kinds:dice_bce"), lambda own: {"loss": own.dice_bce}),
    "contrastive": (
        (*_ONE, "loss=own_kinds:contrastive", "loss.margin=2"),
        lambda own: {"loss": lambda y, d: own.contrastive(y, d, 2)},
    ),
    "weighted bce": (
        (*_ONE, "loss=own_kinds:weighted_bce", "loss.weight_one=3.5"),
        lambda own: {"loss": own.weighted_bce(weight_one=3.5)},
    ),
    "class balanced": (("loss=own_kinds:class_balanced",), lambda own: {"loss": own.class_balanced}),
    "quantile": (
        (*_SUM, "loss=own_kinds:quantile", "loss.tau=0.3"),
        lambda own: {"loss": lambda t, p: own.quantile(t, p, 0.3)},
    ),
    "root": (
        (*_SUM, "loss=own_kinds:root_mean_squared_error"),
        lambda own: {"loss": own.root_mean_squared_error},
    ),
    "log cosh": ((*_SUM, "loss=own_kinds:log_cosh"), lambda own: {"loss": own.log_cosh}),
    "rmse": ((*_SUM, "metrics=[own_kinds:rmse]"), lambda own: {"loss": "mse", "metrics": [own.rmse]}),
    "precision": (
        (
            "metrics=[own_kinds:precision_at]",
            "metrics.precision_at.threshold=0.4",
            "loss=categorical_crossentropy",
        ),
        lambda own: {"loss": "categorical_crossentropy", "metrics": [lambda t, p: own.precision_at(t, p, 0.4)]},
    ),
    "mcc": (
        ("metrics=[own_kinds:matthews]", "loss=categorical_crossentropy"),
        lambda own: {"loss": "categorical_crossentropy", "metrics": [own.matthews]},
    ),
    # What is added to all inputs of a softmax changes nothing: the gradient of such a bias is rounding alone, which
    # Adam divides by its own size. `test_a_bias_before_a_softmax_is_rounding_alone` shows it in plain Keras.
    "attention pooling": _layer("own_kinds:AttentionPooling", "optimizer=sgd", optimizer="sgd"),
    "add_loss": _layer("{name: own_kinds:ActivityPenalty, rate: 0.1}"),
    "mixup": _layer("own_kinds:Mixup"),
    "one cycle": (
        ("optimizer=sgd", "callbacks=[own_kinds:OneCycle]", "callbacks.OneCycle.max_rate=0.1"),
        lambda own: {"optimizer": "sgd", "callbacks": [own.OneCycle(0.1)]},
    ),
    "loss history": (("callbacks=[own_kinds:LossHistory]",), lambda own: {"callbacks": [own.LossHistory()]}),
    "lambda callback": (("callbacks=[own_kinds:halve]",), lambda own: {}),
    "noam": (("schedule=own_kinds:Noam",), lambda own: {"optimizer": own.keras.optimizers.Adam(own.Noam())}),
    "smoothed": (
        ("loss=own_habits:smoothed", "loss.eps=0.3"),
        lambda own: {"loss": lambda t, p: own.smoothed(t, p, eps=0.3)},
    ),
    "wing": ((*_SUM, "loss=own_habits:Wing", "loss.w=5"), lambda own: {"loss": own.Wing(5.0).__call__}),
    "asymmetric": (
        ("loss=own_habits:AsymmetricLoss", "loss.gamma_pos=0"),
        lambda own: {"loss": own.AsymmetricLoss(gamma_pos=0)},
    ),
    "supervised contrastive": (
        ("loss=own_habits:supervised_contrastive", "metrics=[]"),
        lambda own: {"loss": own.supervised_contrastive},
    ),
    "configured": (("loss=own_habits:configured",), lambda own: {"loss": own.configured}),
    "recall of a class": (
        (
            "metrics=[own_habits:PerClassRecall]",
            "metrics.PerClassRecall.class_id=1",
            "loss=categorical_crossentropy",
        ),
        lambda own: {"loss": "categorical_crossentropy", "metrics": [own.PerClassRecall(1)]},
    ),
    "accumulating": (
        ("optimizer=own_habits:accumulating",),
        lambda own: {"optimizer": own.keras.optimizers.Adam(0.01, gradient_accumulation_steps=4, clipnorm=1.0)},
    ),
    "warm-up of batches": (
        ("optimizer=sgd", "callbacks=[own_habits:WarmUp]"),
        lambda own: {"optimizer": "sgd", "callbacks": [own.WarmUp()]},
    ),
    "warm restarts": (
        ("optimizer=sgd", "callbacks=[own_habits:WarmRestarts]"),
        lambda own: {"optimizer": "sgd", "callbacks": [own.WarmRestarts()]},
    ),
    "spectral norm": _layer("own_habits:SpectralDense"),
    "self attention": _layer("{name: own_habits:SelfAttention, dim: 4}", "optimizer=sgd", optimizer="sgd"),
    "swish": _of_model("activation=own_kinds:Swish", "activation.beta=0.5"),
    "mish": _of_model("activation=own_kinds:mish"),
}
TENSORFLOW: dict[str, tuple[tuple[str, ...], Plain]] = {
    "tf focal": (
        ("loss=own_tf_kinds:focal", "loss.gamma=1"),
        lambda own: {"loss": lambda t, p: own.focal(t, p, 1.0)},
    ),
    "tf rmse": ((*_SUM, "metrics=[own_tf_kinds:rmse]"), lambda own: {"loss": "mse", "metrics": [own.rmse]}),
    "tf loss class": (("loss=own_tf_kinds:Weighted",), lambda own: {"loss": own.Weighted()}),
    "tf metric class": (("metrics=[own_tf_kinds:Hits]",), lambda own: {"metrics": [own.Hits()]}),
    "tf layer": _layer("{name: own_tf_kinds:Gated, units: 4}"),
    "tf activation": _of_model("activation=own_tf_kinds:mish"),
}


# Of these a callback acts within an epoch, which no compiled one can let it.
NO_LANES = ("cyclic", "loss history", "warm-up of batches")
ALL = {**QUICK, **HABITS, **SLOW, **TENSORFLOW}


def overrides(name: str) -> list[str]:
    """What the row chooses, on Iris unless it says otherwise."""
    words = ALL[name][0]
    return [*([] if any(word.startswith("data=") for word in words) else ["data=iris"]), *words]


def plain(name: str) -> dict[str, Any]:
    """What plain Keras is given for the row."""
    chosen, made = ALL[name]
    (module,) = set(re.findall(r"own_\w+(?=:)", " ".join(chosen)))
    return made(importlib.import_module(module))

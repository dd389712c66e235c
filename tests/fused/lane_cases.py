"""What two lanes of one program may differ in: for each component of the registry its numbers, twice.

The lists follow the registry, so that a component which is registered tomorrow, or by a plugin that is installed, is a
case too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from made import DATA

from kexp.registry import find, names

__all__ = [
    "Case",
    "activations",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizer_settings",
    "optimizers",
    "schedules",
    "trainings",
]

Values = Mapping[str, tuple[Any, Any]]

REGRESSION = ("data.classes=null", "data.targets=2", "metrics=[mean_absolute_error]")
BINARY = ("data.classes=2", "loss=binary_crossentropy")
SEQUENCE = "{name: Reshape, target_shape: [2, 3]}"
IMAGE = "{name: Reshape, target_shape: [4, 4, 1]}"
WIDE = "{name: Dense, units: 16}"


@dataclass(frozen=True)
class Case:
    """Two trials.

    Attributes:
        name: says which component it is about.
        base: what they share, besides the data.
        numbers: config key -> its value in the first lane and in the second.
        groups: programs that they take.
        constants: numbers that Keras wants the value of, so that they cannot be inputs.
    """

    name: str
    base: tuple[str, ...]
    numbers: Values
    groups: int = 1
    constants: frozenset[str] = frozenset()
    data: tuple[str, ...] = DATA

    def lanes(self) -> list[tuple[str, ...]]:
        """The overrides of both."""
        mlp = () if any(each.startswith("model=") for each in self.base) else ("model.hidden=[8]",)
        shared = (*self.data, *mlp, "trainer.epochs=2", "trainer.batch_size=20", *self.base)
        return [(*shared, f"seed={i}", *[f"{key}={pair[i]}" for key, pair in self.numbers.items()]) for i in (0, 1)]


def moved(group: str, name: str) -> dict[str, tuple[float, float]]:
    """Every number that a component has by default, and another one near it."""
    found = {p.name: p.default for p in find(group, name).signature().parameters}
    return {
        key: (value, value * (0.85 - place / 100))
        for place, (key, value) in enumerate(found.items())
        if isinstance(value, float) and value != 0
    }


def optimizers() -> Iterator[Case]:
    """Each with every number it has: those that are off by default too."""
    for name in names("optimizer"):
        known = {p.name for p in find("optimizer", name).signature().parameters}
        values = moved("optimizer", name) | {
            key: pair for key, pair in _OFF_BY_DEFAULT.items() if key in known or name == "lookahead"
        }
        base = [f"optimizer={name}", *[f"optimizer.{flag}=true" for flag in _FLAGS if flag in known]]
        if name == "lookahead":
            values = {key: values[key] for key in ("learning_rate", "momentum", "alpha", "weight_decay")} | {
                "k": (2, 3)
            }
        yield Case(
            f"optimizer-{name}",
            tuple(base),
            {f"optimizer.{key}": pair for key, pair in values.items()},
            constants=frozenset({"optimizer.ns_steps"}) if name == "muon" else frozenset(),
        )


_FLAGS = ("amsgrad", "nesterov", "centered", "use_ema")
_OFF_BY_DEFAULT: Values = {
    "momentum": (0.9, 0.7),
    "weight_decay": (0.01, 0.02),
    "clipnorm": (0.2, 0.3),
    "l1_regularization_strength": (0.01, 0.02),
    "l2_regularization_strength": (0.02, 0.03),
    "l2_shrinkage_regularization_strength": (0.01, 0.03),
    "beta": (0.1, 0.2),
    "warmup_steps": (3, 5),
    "loss_scale_factor": (2.0, 8.0),
}


def optimizer_settings() -> Iterator[Case]:
    """Numbers that exclude those above, and numbers on both sides of a branch."""
    one = ("optimizer=sgd",)
    yield Case("global_clipnorm", one, {"optimizer.global_clipnorm": (0.1, 0.2)})
    yield Case("clipvalue", one, {"optimizer.clipvalue": (0.001, 0.002)})
    yield Case("decay", one, {"optimizer.decay": (0.01, 0.02)})
    yield Case("whole-number-rate", one, {"optimizer.learning_rate": (1, 0.5)})
    yield Case("momentum-or-none", one, {"optimizer.momentum": (0.0, 0.5)}, groups=2)
    yield Case("weight-decay-or-none", ("optimizer=adam",), {"optimizer.weight_decay": ("null", 0.01)}, groups=2)
    average = ("optimizer=adam", "optimizer.use_ema=true")
    yield Case("ema_overwrite_frequency", average, {"optimizer.ema_overwrite_frequency": (2, 3)})
    yield Case("accumulation", ("optimizer=adam",), {"optimizer.gradient_accumulation_steps": (2, 3)})


def schedules() -> Iterator[Case]:
    """Rates, lengths, boundaries."""
    for name, both in _SCHEDULES:
        key = "optimizer.schedule"
        values = tuple(f"{{name: {name}, {each}}}" for each in both)
        # A schedule that has all its rates has no use for the optimizer's.
        unused = frozenset({"optimizer.learning_rate"} if name == "piecewise_constant_decay" else ())
        numbers: Values = {key: values}  # type: ignore[dict-item]
        yield Case(f"schedule-{name}-{both[0]}", ("optimizer=sgd",), numbers, constants=unused)


_SCHEDULES = [
    ("cosine_decay", ("decay_steps: 5, alpha: 0.1", "decay_steps: 8, alpha: 0.2")),
    (
        "cosine_decay",
        (
            "decay_steps: 8, warmup_target: 0.05, warmup_steps: 3",
            "decay_steps: 6, warmup_target: 0.03, warmup_steps: 2",
        ),
    ),
    (
        "cosine_decay_restarts",
        ("first_decay_steps: 3, m_mul: 0.9, alpha: 0.1", "first_decay_steps: 4, t_mul: 1.5, m_mul: 0.8, alpha: 0.2"),
    ),
    ("exponential_decay", ("decay_steps: 3, decay_rate: 0.5", "decay_steps: 4, decay_rate: 0.6")),
    (
        "exponential_decay",
        ("decay_steps: 3, decay_rate: 0.5, staircase: true", "decay_steps: 4, decay_rate: 0.6, staircase: true"),
    ),
    ("inverse_sqrt", ("warmup_steps: 3", "warmup_steps: 5")),
    ("inverse_time_decay", ("decay_steps: 3, decay_rate: 0.5", "decay_steps: 4, decay_rate: 0.6")),
    (
        "piecewise_constant_decay",
        ("boundaries: [3, 6], values: [0.1, 0.05, 0.01]", "boundaries: [2, 7], values: [0.2, 0.04, 0.02]"),
    ),
    (
        "polynomial_decay",
        (
            "decay_steps: 5, end_learning_rate: 0.001, power: 0.5",
            # Of a constant 7 XLA takes the reciprocal, 7 of which are more than 1: Keras' schedule is then NaN.
            "decay_steps: 8, end_learning_rate: 0.002, power: 1.5",
        ),
    ),
    ("polynomial_decay", ("decay_steps: 3, power: 2.0, cycle: true", "decay_steps: 4, power: 1.5, cycle: true")),
]


def losses() -> Iterator[Case]:
    """Each on the data that it is for; ctc wants rows of labels, which none here has."""
    for name in sorted({*_first_names("loss")} - {"ctc"}):
        values = moved("loss", name) | {**_LOSS_NUMBERS.get(name, {})}
        base = (*_LOSS_DATA.get(name, ()), f"loss={name}")
        yield Case(f"loss-{name}", base, {f"loss.{key}": pair for key, pair in values.items()})
    yield Case(
        "loss-alpha-by-class",
        ("loss=categorical_focal_crossentropy",),
        {"loss.alpha": ("[0.25,0.3,0.2]", "[0.1,0.2,0.3]")},
    )
    yield Case("loss-whole-numbers", ("loss=categorical_focal_crossentropy",), {"loss.gamma": (1, 2)})
    yield Case(
        "loss-label-smoothing-or-none",
        ("loss=categorical_crossentropy",),
        {"loss.label_smoothing": (0.0, 0.1)},
        groups=2,
    )
    yield Case("loss-logits", ("loss=sparse_categorical_crossentropy", "loss.from_logits=true"), {})


_TWO = ("data.classes=2",)
_LOSS_DATA: Mapping[str, tuple[str, ...]] = {
    "binary_crossentropy": _TWO,
    "binary_focal_crossentropy": (*_TWO, "loss.apply_class_balancing=true"),
    "circle": ("metrics=[]",),
    **dict.fromkeys(
        "cosine_proximity huber_loss logcosh mean_absolute_error mean_absolute_percentage_error mean_squared_error "
        "mean_squared_logarithmic_error poisson quantile_loss".split(),
        REGRESSION,
    ),
}
_SMOOTHING = {"label_smoothing": (0.1, 0.2)}
_LOSS_NUMBERS: Mapping[str, Values] = {
    "binary_crossentropy": _SMOOTHING,
    "binary_focal_crossentropy": _SMOOTHING,
    "categorical_crossentropy": _SMOOTHING,
    "categorical_focal_crossentropy": _SMOOTHING,
    "circle": {"gamma": (8.0, 4.0)},
    "huber_loss": {"delta": (0.3, 0.1)},
}


def metrics() -> Iterator[Case]:
    """Those that read the same targets together."""
    for name, base, measured in _METRICS:
        keys = [each.partition("(")[0] for each in measured]
        settings = [
            f"metrics.{key}.{setting}" for key, each in zip(keys, measured, strict=True) for setting in _settings(each)
        ]
        yield Case(f"metrics-{name}", (*base, f"metrics=[{','.join(keys)}]", *settings), {})


def _settings(measured: str) -> Iterable[str]:
    return [each for each in measured.partition("(")[2].rstrip(")").split("; ") if each]


_METRICS: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
    (
        "counting",
        BINARY,
        (
            *"auc binary_accuracy binary_crossentropy binary_io_u false_negatives false_positives "
            "true_negatives true_positives recall root_mean_squared_error".split(),
            "precision(thresholds=0.4)",
            "f_beta_score(average=macro)",
            "precision_at_recall(recall=0.5)",
            "recall_at_precision(precision=0.5)",
            "sensitivity_at_specificity(specificity=0.5)",
            "specificity_at_sensitivity(sensitivity=0.5)",
        ),
    ),
    (
        "class-index",
        (),
        (
            *"accuracy sparse_categorical_accuracy sparse_categorical_crossentropy calibration_error".split(),
            "sparse_top_k_categorical_accuracy(k=2)",
            "io_u(num_classes=3; target_class_ids=[0,1]; sparse_y_pred=false)",
            "mean_io_u(num_classes=3; sparse_y_pred=false)",
        ),
    ),
    (
        "one-hot",
        ("loss=categorical_crossentropy",),
        (
            *"categorical_accuracy categorical_crossentropy categorical_hinge kl_divergence auc".split(),
            "f1_score(average=macro)",
            "top_k_categorical_accuracy(k=2)",
            "one_hot_io_u(num_classes=3; target_class_ids=[0,1])",
            "one_hot_mean_io_u(num_classes=3)",
        ),
    ),
    (
        "regression",
        (*REGRESSION, "loss=mean_squared_error"),
        tuple(
            "concordance_correlation cosine_similarity log_cosh_error mean_absolute_error "
            "mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error pearson_correlation "
            "poisson r2_score".split()
        ),
    ),
    ("hinge", ("loss=hinge",), ("hinge", "squared_hinge")),
]


def activations() -> Iterator[Case]:
    """Each between the layers of an MLP."""
    for name in _first_names("activation"):
        # None has its default: Keras' own activation of that name is then in the layer, without a number.
        near = {key: (pair[0] * 0.9, pair[1] * 0.9) for key, pair in moved("activation", name).items()}
        values = near | {**_ACTIVATION_NUMBERS.get(name, {})}
        base = (f"activation={name}",)
        yield Case(f"activation-{name}", base, {f"activation.{key}": pair for key, pair in values.items()})


_ACTIVATION_NUMBERS: Mapping[str, Values] = {
    "relu": {"negative_slope": (0.1, 0.2), "max_value": (0.6, 0.4), "threshold": (0.1, 0.2)},
    "threshold": {"threshold": (0.1, 0.2), "default_value": (0.01, 0.02)},
    "squareplus": {"b": (3.0, 2.0)},
    "hard_shrink": {"threshold": (0.2, 0.1)},
    "soft_shrink": {"threshold": (0.2, 0.1)},
}


def initializers() -> Iterator[Case]:
    """What weights start as, and what holds them where they are."""
    for group, numbers in _OF_WEIGHTS.items():
        for name in _first_names(group):
            form = f"{{name: Dense, units: 4, kernel_{group}: {{name: %s%s}}}}"
            if not name.startswith("stft"):  # makes a table of waves, which is no start of a Dense layer
                both = numbers.get(name, ("", ""))
                yield _layered(f"{group}-{name}", form, name, both)


_OF_WEIGHTS: dict[str, dict[str, tuple[str, str]]] = {
    "initializer": {
        "random_normal": ("mean: 0.1, stddev: 0.05", "mean: 0.2, stddev: 0.1"),
        "random_uniform": ("minval: -0.1, maxval: 0.1", "minval: -0.2, maxval: 0.3"),
        "truncated_normal": ("mean: 0.1, stddev: 0.05", "mean: 0.2, stddev: 0.1"),
        "variance_scaling": ("scale: 1.5", "scale: 2.0"),
        "constant": ("value: 0.1", "value: 0.2"),
        "orthogonal": ("gain: 1.5", "gain: 2.0"),
        "identity": ("gain: 1.5", "gain: 2.0"),
        "sparse_normal": ("connections: 3, stddev: 1.0", "connections: 3, stddev: 0.5"),
    },
    "regularizer": {
        "l1": ("l1: 0.01", "l1: 0.02"),
        "l1_l2": ("l1: 0.01, l2: 0.03", "l1: 0.02, l2: 0.04"),
        "l2": ("l2: 0.01", "l2: 0.02"),
        "orthogonal_regularizer": ("factor: 0.01", "factor: 0.02"),
        "group_lasso": ("strength: 0.01", "strength: 0.02"),
    },
    "constraint": {
        "max_norm": ("max_value: 0.5", "max_value: 0.3"),
        "min_max_norm": ("min_value: 0.1, max_value: 0.5, rate: 0.5", "min_value: 0.2, max_value: 0.4, rate: 0.9"),
    },
}


def layers() -> Iterator[Case]:
    """Layers with numbers of their own, after a Dense layer."""
    for name, both in _LAYERS:
        yield _layered(f"layer-{name}-{both[0]}", "{name: %s%s}", name, both)
    for name, both in _SHAPED:
        before = f"{WIDE}, {IMAGE}" if name.endswith("2D") or name.startswith("Random") else SEQUENCE
        after = ", Flatten" if before != SEQUENCE else ""
        yield _layered(f"layer-{name}-{both[0]}", "{name: %s%s}" + after, name, both, before)


_LAYERS = [
    ("Dropout", ("rate: 0.2", "rate: 0.4")),
    ("GaussianNoise", ("stddev: 0.2", "stddev: 0.4")),
    ("GaussianDropout", ("rate: 0.2", "rate: 0.4")),
    ("AlphaDropout", ("rate: 0.2", "rate: 0.4")),
    ("BatchNormalization", ("momentum: 0.9, epsilon: 0.002", "momentum: 0.8, epsilon: 0.01")),
    ("LayerNormalization", ("epsilon: 0.01", "epsilon: 0.1")),
    ("GroupNormalization", ("groups: 2, epsilon: 0.01", "groups: 2, epsilon: 0.1")),
    ("RMSNormalization", ("epsilon: 0.01", "epsilon: 0.1")),
    ("LeakyReLU", ("negative_slope: 0.1", "negative_slope: 0.2")),
    ("ELU", ("alpha: 0.5", "alpha: 0.8")),
    ("ReLU", ("max_value: 0.5, negative_slope: 0.1", "max_value: 0.8, negative_slope: 0.2")),
    ("ActivityRegularization", ("l1: 0.01, l2: 0.01", "l1: 0.02, l2: 0.03")),
    ("Rescaling", ("scale: 0.5, offset: 0.1", "scale: 0.2, offset: 0.3")),
    ("GatedDense", ("units: 4", "units: 4")),
]  # fmt: skip
_SHAPED = [
    ("LSTM", ("units: 4, dropout: 0.2, recurrent_dropout: 0.1", "units: 4, dropout: 0.3, recurrent_dropout: 0.2")),
    ("GRU", ("units: 4, dropout: 0.2, recurrent_dropout: 0.1", "units: 4, dropout: 0.3, recurrent_dropout: 0.2")),
    ("SimpleRNN", ("units: 4, dropout: 0.2", "units: 4, dropout: 0.3")),
    ("SpatialDropout2D", ("rate: 0.2", "rate: 0.3")),
    ("RandomRotation", ("factor: 0.1", "factor: 0.2")),
    ("RandomContrast", ("factor: 0.1", "factor: 0.2")),
]


def _layered(
    title: str, form: str, name: str, both: tuple[str, str], before: str = "{name: Dense, units: 6, activation: tanh}"
) -> Case:
    values = tuple(f"[{before}, {form % (name, f', {each}' if each else '')}]" for each in both)
    constant = _TAKEN_BY_VALUE.get(name)
    return Case(
        title,
        ("model=sequential",),
        {"model.layers": values},  # type: ignore[dict-item]
        groups=2 if constant else 1,
        constants=frozenset({f"model.layers.{before.count('{name')}.{constant}"} if constant else ()),
    )


# Keras takes the root of the first with `math.sqrt`, which wants a plain number, and makes two bounds of the last.
_TAKEN_BY_VALUE = {
    "GaussianDropout": "rate",
    "RandomRotation": "factor",
}


def trainings() -> Iterator[Case]:
    """What the trainer and the callbacks do, by lane."""
    plateau = "callbacks.reduce_lr_on_plateau"
    yield Case(
        "plateau",
        ("callbacks=[reduce_lr_on_plateau]", "optimizer.learning_rate=0.2", "trainer.epochs=6"),
        {f"{plateau}.patience": (1, 2), f"{plateau}.factor": (0.5, 0.3)},
    )
    yield Case("stopping-or-none", ("trainer.epochs=4",), {"callbacks": ("[early_stopping]", "[]")})
    weighted = ("metrics=[accuracy]", "metrics.accuracy.weighted=true")
    yield Case("class-weights", weighted, {"trainer.class_weight": ("{0: 1.0, 1: 2.0, 2: 0.5}", "balanced")})
    yield Case("splits", (), {"trainer.validation_split": (0.2, 0.201), "data.split_seed": (1, 2)})
    yield Case("shuffle", (), {"trainer.shuffle": ("true", "false")})
    yield Case("validation_freq", ("trainer.epochs=4",), {"trainer.validation_freq": (1, 2)})
    yield Case("steps_per_epoch", ("trainer.steps_per_epoch=3", "trainer.batch_size=16"), {"trainer.epochs": (2, 3)})
    yield Case("training-rows-alone", ("trainer.validation_split=0", "data.test_split=0"), {})


def models() -> Iterator[Case]:
    """A model of each kind with dropout, normalisation, regularizers, a schedule, class weights and early stopping."""
    for name, base, values in _MODELS:
        data = _IMAGES if name in ("cnn", "lstm") else DATA
        yield Case(f"model-{name}", (*_EVERYTHING, f"model={name}", *base), {**_EVERY_NUMBER, **values}, data=data)


# Not Adam: a bias before a batch normalisation has a gradient of nothing but rounding, of which Adam makes whole steps.
_EVERYTHING = (
    "optimizer=sgd",
    "optimizer.momentum=0.9",
    "optimizer.schedule={name: cosine_decay, decay_steps: 12}",
    "trainer.class_weight=balanced",
    "callbacks=[early_stopping]",
)
_EVERY_NUMBER: Values = {
    "optimizer.learning_rate": (0.02, 0.01),
    "optimizer.weight_decay": (0.01, 0.02),
    "optimizer.clipnorm": (0.5, 1.0),
    "trainer.epochs": (3, 4),
    "callbacks.early_stopping.patience": (1, 2),
    "callbacks.early_stopping.monitor": ("val_loss", "loss"),
    "callbacks.early_stopping.restore_best_weights": ("false", "true"),
    "data.split_seed": (3, 4),
}
_L2 = "model.kernel_regularizer"
_REGULARIZED: Values = {_L2: ("{name: l2, l2: 0.001}", "{name: l2, l2: 0.002}"), "model.dropout": (0.2, 0.3)}
_IMAGES = ("data=digits", "data.test_split=0.9")
_MODELS: list[tuple[str, tuple[str, ...], Values]] = [
    ("mlp", ("model.hidden=[8]", "model.batch_normalization=true"), _REGULARIZED),
    ("linear", (), {_L2: _REGULARIZED[_L2]}),
    ("cnn", ("model.filters=[2]", "model.dense=[4]", "model.batch_normalization=true"), _REGULARIZED),
    ("lstm", ("model.units=[4]",), {**_REGULARIZED, "model.recurrent_dropout": (0.1, 0.2)}),
]


def _first_names(group: str) -> list[str]:
    """The registered names without second names of the same component."""
    return [name for name in names(group) if find(group, name).name == name]

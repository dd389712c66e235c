"""The rules of Keras' parameters, which have no annotations: by names that mean the same everywhere in Keras."""

from __future__ import annotations

from kexp.rules.bounds import Range

__all__ = ["CHOICES_IN_KERAS", "KERAS_RANGES", "WHOLE_IN_KERAS"]

_SHARE = Range(ge=0, lt=1)
_POSITIVE = Range(gt=0)
KERAS_RANGES: dict[str, Range] = {
    "learning_rate": _POSITIVE,
    "initial_learning_rate": _POSITIVE,
    "momentum": Range(ge=0, le=1),
    "rho": Range(ge=0, le=1),
    "beta_1": _SHARE,
    "beta_2": _SHARE,
    "epsilon": _POSITIVE,
    "weight_decay": Range(ge=0),
    "clipnorm": _POSITIVE,
    "clipvalue": _POSITIVE,
    "global_clipnorm": _POSITIVE,
    "ema_momentum": Range(ge=0, le=1),
    "decay": Range(ge=0),
    "delta": _POSITIVE,
    "label_smoothing": Range(ge=0, le=1),
    "threshold": Range(),
    "k": Range(ge=1),
    "units": Range(ge=1),
    "filters": Range(ge=1),
    "rate": _SHARE,
    "dropout": _SHARE,
    "recurrent_dropout": _SHARE,
    "l1": Range(ge=0),
    "l2": Range(ge=0),
    "patience": Range(ge=0),
}
WHOLE_IN_KERAS = frozenset({"k", "units", "filters", "patience", "decay_steps", "first_decay_steps"})
# Keras replaces other values by the first of these, with a warning.
CHOICES_IN_KERAS: dict[str, tuple[str, ...]] = {"mode": ("auto", "min", "max")}

"""Every row of the catalogue is there by its name, with its defaults."""

from __future__ import annotations

from typing import Any

import pytest

from kexp import registry

ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("optimizer", "sgd", {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False}),
    ("optimizer", "rmsprop", {"learning_rate": 0.001, "rho": 0.9}),
    ("optimizer", "adagrad", {"learning_rate": 0.01}),
    ("optimizer", "adadelta", {"learning_rate": 1.0, "rho": 0.95}),
    ("optimizer", "adam", {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "amsgrad": False}),
    ("optimizer", "adamax", {"learning_rate": 0.002, "beta_1": 0.9, "beta_2": 0.999}),
    ("optimizer", "nadam", {"learning_rate": 0.002, "beta_1": 0.9, "beta_2": 0.999}),
    ("loss", "mean_squared_error", {}),
    ("loss", "mean_absolute_error", {}),
    ("loss", "mean_absolute_percentage_error", {}),
    ("loss", "mean_squared_logarithmic_error", {}),
    ("loss", "binary_crossentropy", {"from_logits": False, "label_smoothing": 0}),
    ("loss", "categorical_crossentropy", {"from_logits": False, "label_smoothing": 0}),
    ("loss", "sparse_categorical_crossentropy", {"from_logits": False, "axis": -1}),
    ("loss", "squared_hinge", {}),
    ("loss", "hinge", {}),
    ("loss", "categorical_hinge", {}),
    ("loss", "logcosh", {}),
    ("loss", "huber_loss", {"delta": 1.0}),
    ("loss", "kullback_leibler_divergence", {}),
    ("loss", "poisson", {}),
    ("loss", "cosine_proximity", {"axis": -1}),
    ("metrics", "accuracy", {}),
    ("metrics", "binary_accuracy", {"threshold": 0.5}),
    ("metrics", "categorical_accuracy", {}),
    ("metrics", "sparse_categorical_accuracy", {}),
    ("metrics", "top_k_categorical_accuracy", {"k": 5}),
    ("metrics", "sparse_top_k_categorical_accuracy", {"k": 5}),
    *(
        ("activation", name, {})
        for name in ("sigmoid", "hard_sigmoid", "tanh", "selu", "softplus", "softsign", "linear")
    ),
    ("activation", "relu", {"negative_slope": 0.0, "max_value": None, "threshold": 0.0}),
    ("activation", "softmax", {"axis": -1}),
    ("activation", "elu", {"alpha": 1.0}),
    ("schedule", "exponential_decay", {"initial_learning_rate": None, "decay_steps": None}),
    ("schedule", "cosine_decay", {"initial_learning_rate": None, "decay_steps": None}),
    ("schedule", "cosine_decay_restarts", {"initial_learning_rate": None, "first_decay_steps": None}),
    ("schedule", "inverse_time_decay", {"initial_learning_rate": None, "decay_steps": None}),
    ("schedule", "piecewise_constant_decay", {"initial_learning_rate": None, "values": None}),
    ("schedule", "polynomial_decay", {"initial_learning_rate": None, "decay_steps": None}),
]


@pytest.mark.parametrize(("group", "name", "defaults"), ROWS, ids=[f"{group}-{name}" for group, name, _ in ROWS])
def test_catalogue_row_has_its_defaults(group: str, name: str, defaults: dict[str, Any]) -> None:
    component = registry.find(group, name)
    offered = {parameter.name: parameter.default for parameter in component.signature().parameters}
    assert component.name == name
    assert {key: offered[key] for key in defaults} == defaults


@pytest.mark.parametrize(
    ("modern", "name"),
    [
        ("log_cosh", "logcosh"),
        ("huber", "huber_loss"),
        ("kl_divergence", "kullback_leibler_divergence"),
        ("cosine_similarity", "cosine_proximity"),
    ],
)
def test_modern_name_is_a_second_name_of_the_same_loss(modern: str, name: str) -> None:
    assert registry.find("loss", modern) == registry.find("loss", name)


def test_every_optimizer_takes_what_keras_takes_besides() -> None:
    for name in ("sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam"):
        signature = registry.find("optimizer", name).signature()
        assert {"weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema"} <= {
            parameter.name for parameter in signature.parameters
        }

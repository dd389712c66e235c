"""The first updates of the catalogue's optimizers on a quadratic, against the formulae of their papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

from kexp.build import build_optimizer
from kexp.schema import Node, component_node

Array = Any
STEPS = 3
EPSILON = 1e-7


def optimizer_of(name: str, total_steps: int = 100, **parameters: Any) -> keras.optimizers.Optimizer:
    node = component_node("optimizer", {"name": name, **parameters}, "optimizer")
    schedule = node.common.get("schedule")
    if schedule is not None:
        common = {**node.common, "schedule": component_node("schedule", schedule, "optimizer.schedule")}
        node = Node(node.component, node.parameters, common, node.path)
    return build_optimizer(node, total_steps)


def quadratic() -> tuple[Array, Array]:
    """The curvatures and the start of w -> sum(curvature * w**2) / 2, whose gradient is curvature * w."""
    rng = np.random.default_rng()
    return rng.uniform(0.5, 3.0, 4), rng.uniform(0.5, 2.0, 4) * rng.choice([-1, 1], 4)


def path_of(optimizer: keras.optimizers.Optimizer, curvature: Array, start: Array) -> list[Array]:
    """Where the optimizer is after each step."""
    w = keras.Variable(start.astype(np.float32))
    optimizer.build([w])
    path = []
    for _ in range(STEPS):
        optimizer.apply([keras.ops.convert_to_tensor(curvature.astype(np.float32)) * w], [w])
        path.append(keras.ops.convert_to_numpy(w).copy())
    return path


# Each formula is given the gradient at w, the rate and what it needs, and yields what w moves by, step after step.
Moves = Iterator[Array]


def sgd(g: Callable[[], Array], rate: Callable[[int], float], momentum: float = 0.0, nesterov: bool = False) -> Moves:
    """Polyak (1964); Nesterov's look-ahead as rewritten by Sutskever et al. (2013)."""
    velocity: Array = 0.0
    for t in range(STEPS):
        velocity = momentum * velocity - rate(t) * g()
        yield momentum * velocity - rate(t) * g() if nesterov else velocity


def rmsprop(g: Callable[[], Array], rate: Callable[[int], float], rho: float = 0.9) -> Moves:
    """Tieleman and Hinton (2012), lecture 6.5."""
    square: Array = 0.0
    for t in range(STEPS):
        square = rho * square + (1 - rho) * g() ** 2
        yield -rate(t) * g() / np.sqrt(square + EPSILON)


def adagrad(g: Callable[[], Array], rate: Callable[[int], float]) -> Moves:
    """Duchi et al. (2011), the sum begun at 0.1 as Keras does."""
    square: Array = 0.1
    for t in range(STEPS):
        square = square + g() ** 2
        yield -rate(t) * g() / np.sqrt(square + EPSILON)


def adadelta(g: Callable[[], Array], rate: Callable[[int], float], rho: float = 0.95) -> Moves:
    """Zeiler (2012), algorithm 1."""
    square: Array = 0.0
    moved: Array = 0.0
    for t in range(STEPS):
        square = rho * square + (1 - rho) * g() ** 2
        move = -np.sqrt(moved + EPSILON) / np.sqrt(square + EPSILON) * g()
        moved = rho * moved + (1 - rho) * move**2
        yield rate(t) * move


def adam(
    g: Callable[[], Array],
    rate: Callable[[int], float],
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    amsgrad: bool = False,
) -> Moves:
    """Kingma and Ba (2015), in the form of the end of its section 2; AMSGrad by Reddi et al. (2018)."""
    m: Array = 0.0
    v: Array = 0.0
    largest: Array = 0.0
    for t in range(STEPS):
        m = beta_1 * m + (1 - beta_1) * g()
        v = beta_2 * v + (1 - beta_2) * g() ** 2
        largest = np.maximum(largest, v)
        step = rate(t) * np.sqrt(1 - beta_2 ** (t + 1)) / (1 - beta_1 ** (t + 1))
        yield -step * m / (np.sqrt(largest if amsgrad else v) + EPSILON)


def adamax(g: Callable[[], Array], rate: Callable[[int], float], beta_1: float = 0.9, beta_2: float = 0.999) -> Moves:
    """Kingma and Ba (2015), algorithm 2."""
    m: Array = 0.0
    u: Array = 0.0
    for t in range(STEPS):
        m = beta_1 * m + (1 - beta_1) * g()
        u = np.maximum(beta_2 * u, np.abs(g()))
        yield -rate(t) / (1 - beta_1 ** (t + 1)) * m / (u + EPSILON)


def nadam(g: Callable[[], Array], rate: Callable[[int], float], beta_1: float = 0.9, beta_2: float = 0.999) -> Moves:
    """Dozat (2016), with its schedule of the momentum, mu = beta_1 * (1 - 0.96**t / 2)."""
    m: Array = 0.0
    v: Array = 0.0
    product = 1.0
    for t in range(STEPS):
        now, ahead = (beta_1 * (1 - 0.5 * 0.96**s) for s in (t + 1, t + 2))
        product *= now
        m = beta_1 * m + (1 - beta_1) * g()
        v = beta_2 * v + (1 - beta_2) * g() ** 2
        corrected = ahead * m / (1 - product * ahead) + (1 - now) * g() / (1 - product)
        yield -rate(t) * corrected / (np.sqrt(v / (1 - beta_2 ** (t + 1))) + EPSILON)


def followed(
    moves: Callable[..., Moves], rate: Callable[[int], float], curvature: Array, start: Array, **more: Any
) -> list[Array]:
    """Where a formula is after each step."""
    w = start.astype(np.float64).copy()
    path = []
    for move in moves(lambda: curvature * w, rate, **more):
        w[:] += move
        path.append(w.copy())
    return path


FORMULAE: dict[str, tuple[Callable[..., Moves], float]] = {
    "sgd": (sgd, 0.01),
    "rmsprop": (rmsprop, 0.001),
    "adagrad": (adagrad, 0.01),
    "adadelta": (adadelta, 1.0),
    "adam": (adam, 0.001),
    "adamax": (adamax, 0.002),
    "nadam": (nadam, 0.002),
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in FORMULAE),
    ("sgd", {"momentum": 0.8}),
    ("sgd", {"momentum": 0.8, "nesterov": True}),
    ("rmsprop", {"rho": 0.7}),
    ("adadelta", {"rho": 0.8}),
    ("adam", {"beta_1": 0.7, "beta_2": 0.9}),
    ("adam", {"beta_2": 0.5, "amsgrad": True}),
    ("adamax", {"beta_1": 0.7, "beta_2": 0.9}),
    ("nadam", {"beta_1": 0.7, "beta_2": 0.9}),
]


def assert_same_path(found: list[Array], expected: list[Array], start: Array) -> None:
    """Equal as moves from the start, where a wrong rate shows; float32 leaves about 1e-7 of the weights' size."""
    for step, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(one - start, other - start, rtol=2e-3, atol=1e-6, err_msg=f"step {step + 1}")


@pytest.mark.parametrize(("name", "parameters"), VARIANTS, ids=[f"{name}-{'-'.join(more)}" for name, more in VARIANTS])
def test_first_updates_follow_the_paper(name: str, parameters: dict[str, Any]) -> None:
    curvature, start = quadratic()
    formula, rate = FORMULAE[name]
    expected = followed(formula, lambda t: rate, curvature, start, **parameters)
    assert_same_path(path_of(optimizer_of(name, **parameters), curvature, start), expected, start)


@pytest.mark.parametrize("name", FORMULAE)
def test_decay_divides_the_rate_by_the_steps(name: str) -> None:
    curvature, start = quadratic()
    formula, rate = FORMULAE[name]
    expected = followed(formula, lambda t: rate / (1 + 0.5 * t), curvature, start)
    assert_same_path(path_of(optimizer_of(name, decay=0.5), curvature, start), expected, start)


@pytest.mark.parametrize("name", FORMULAE)
def test_schedule_begins_at_the_optimizers_rate_and_lasts_the_training(name: str) -> None:
    curvature, start = quadratic()
    formula, _ = FORMULAE[name]
    expected = followed(formula, lambda t: 0.05 * (1 + np.cos(np.pi * t / 4)) / 2, curvature, start)
    optimizer = optimizer_of(name, total_steps=4, learning_rate=0.05, schedule={"name": "cosine_decay"})
    assert_same_path(path_of(optimizer, curvature, start), expected, start)


def test_weight_decay_reaches_keras() -> None:
    curvature, start = quadratic()
    w = path_of(optimizer_of("sgd", weight_decay=0.1), curvature, start)[0]
    np.testing.assert_allclose(w, start * (1 - 0.01 * 0.1) - 0.01 * curvature * start, rtol=1e-5)

"""Schedules with no flag but their name, against their formulae."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kexp.build import build
from kexp.components.schedules import fill, time_based
from kexp.errors import ConfigError
from kexp.schema import Node, component_node

RATE, TOTAL = 0.1, 700


def schedule_of(name: str, total_steps: int = TOTAL, **parameters: Any) -> Callable[[int], float]:
    node = component_node("schedule", {"name": name, **parameters}, "optimizer.schedule")
    filled = fill(node.name, node.parameters, learning_rate=RATE, total_steps=total_steps)
    made = build(Node(node.component, filled, node.common, node.path))
    return lambda step: float(made(step))


def restarts(t: float) -> float:
    """Cosines of 1/7, 2/7 and 4/7 of the training, each from the full rate (Loshchilov and Hutter, 2017)."""
    for begin, length in ((0, 100), (100, 200), (300, 400)):
        if t < begin + length:
            return (1 + np.cos(np.pi * (t - begin) / length)) / 2
    return 1.0


FORMULAE: dict[str, Callable[[float], float]] = {
    "cosine_decay": lambda t: RATE * (1 + np.cos(np.pi * t / TOTAL)) / 2,
    "cosine_decay_restarts": lambda t: RATE * restarts(t),
    "exponential_decay": lambda t: RATE * 0.1 ** (t / TOTAL),
    "inverse_time_decay": lambda t: RATE / (1 + 9 * t / TOTAL),
    "polynomial_decay": lambda t: (RATE - 0.0001) * (1 - t / TOTAL) + 0.0001,
    "piecewise_constant_decay": lambda t: RATE if t <= 350 else RATE / 10 if t <= 525 else RATE / 100,
}


@pytest.mark.parametrize("name", FORMULAE)
def test_schedule_needs_no_flag(name: str) -> None:
    schedule = schedule_of(name)
    for step in (0, 1, 99, 150, 349, 350, 351, 524, 526, 650, 699):
        assert schedule(step) == pytest.approx(FORMULAE[name](step), rel=1e-4, abs=1e-7), step


def test_what_is_set_is_not_filled_in() -> None:
    schedule = schedule_of("exponential_decay", initial_learning_rate=0.5, decay_steps=10, decay_rate=0.25)
    assert schedule(10) == pytest.approx(0.125)


def test_cosine_decay_ends_with_the_training_after_its_warmup() -> None:
    schedule = schedule_of("cosine_decay", initial_learning_rate=0.01, warmup_target=0.2, warmup_steps=100)
    assert schedule(100) == pytest.approx(0.2)
    assert schedule(400) == pytest.approx(0.1)
    assert schedule(700) == pytest.approx(0.0, abs=1e-6)


def test_piecewise_boundaries_are_shares_or_steps() -> None:
    by_share = schedule_of("piecewise_constant_decay", boundaries=[0.25], values=[1.0, 0.5])
    by_step = schedule_of("piecewise_constant_decay", boundaries=[175], values=[1.0, 0.5])
    assert [by_share(t) for t in (0, 175, 176)] == [by_step(t) for t in (0, 175, 176)] == [1.0, 1.0, 0.5]


@pytest.mark.parametrize("total_steps", [1, 2, 3])
def test_schedules_stand_short_trainings(total_steps: int) -> None:
    for name in FORMULAE:
        assert all(0 <= schedule_of(name, total_steps)(step) <= RATE * 1.0001 for step in range(total_steps)), name


@pytest.mark.parametrize(
    "parameters", [{"boundaries": []}, {"boundaries": [5, 3]}, {"boundaries": [3], "values": [1.0]}]
)
def test_piecewise_refuses_what_makes_no_steps(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^optimizer\.schedule.*(boundaries|values): must"):
        schedule_of("piecewise_constant_decay", **parameters)


def test_time_based_decay_is_the_older_decay() -> None:
    schedule = time_based(0.01, 1e-2)
    for step in (0, 1, 50, 1000):
        assert float(schedule(step)) == pytest.approx(0.01 / (1 + 1e-2 * step), rel=1e-5)

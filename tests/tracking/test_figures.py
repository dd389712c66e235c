"""The figures: written for whatever a training can give, by matplotlib's objects alone."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kexp.tracking.record import figures, predicted
from kexp.tracking.record.figures import confusion_matrix, learning_curves, predicted_against_true

RNG = np.random.default_rng()
EPOCHS = np.arange(1, 31)
CURVE = list(np.exp(-EPOCHS / 5))


def pixels(file: Path) -> np.ndarray:
    from matplotlib.image import imread

    return np.asarray(imread(file))


@pytest.mark.parametrize(
    "history",
    [
        {"loss": CURVE, "val_loss": CURVE, "accuracy": CURVE, "val_accuracy": CURVE},
        {"loss": CURVE},
        {"loss": [1.0], "val_loss": [2.0]},
        {"loss": [1.0, math.nan], "val_loss": [math.inf, math.nan]},
        {"loss": [1e-9, 1e9, 0.0]},
        dict.fromkeys("abcdefgh", CURVE),
        {},
    ],
)
def test_learning_curves_are_drawn_for_any_history(history: dict[str, list[float]], tmp_path: Path) -> None:
    image = pixels(learning_curves(history, tmp_path / "figures" / "curves.png"))
    assert image.shape[0] > 300
    assert image.std() > 0.01


def test_learning_curves_mark_the_best_epoch(tmp_path: Path) -> None:
    """Where the best epoch moves, so does the green mark."""

    def green_column(best: int) -> float:
        validation = [abs(epoch - best) + 1.0 for epoch in EPOCHS]
        image = pixels(learning_curves({"loss": CURVE, "val_loss": validation}, tmp_path / f"{best}.png"))
        red, green, blue = image[..., 0], image[..., 1], image[..., 2]
        return float(np.median(np.nonzero((green > 0.55) & (red < 0.3) & (blue < 0.4))[1]))

    assert green_column(5) < green_column(15) < green_column(25)


@pytest.mark.parametrize("count", [2, 10, 20, 100])
def test_confusion_matrix_is_drawn_for_few_and_many_classes(count: int, tmp_path: Path) -> None:
    true = RNG.integers(0, count, 500)
    image = pixels(confusion_matrix(true, true, [f"class {index}" for index in range(count)], tmp_path / "matrix.png"))
    assert 300 < image.shape[0] <= 1500
    assert image.std() > 0.01


@pytest.mark.parametrize("shape", [(80,), (80, 1), (80, 3), (80, 12)])
def test_predicted_against_true_is_drawn_for_any_outputs(shape: tuple[int, ...], tmp_path: Path) -> None:
    true = RNG.normal(size=shape)
    predicted = true + RNG.normal(size=shape)
    predicted.flat[0] = np.nan
    assert pixels(predicted_against_true(true, predicted, tmp_path / "scatter.png")).std() > 0.01


def test_figures_are_drawn_beside_each_other_without_pyplot(tmp_path: Path) -> None:
    was_there = "matplotlib.pyplot" in sys.modules
    work: list[Callable[[], Path]] = [
        lambda: learning_curves({"loss": CURVE}, tmp_path / "a.png"),
        lambda: confusion_matrix([0, 1], [0, 1], "ab", tmp_path / "b.png"),
        lambda: predicted_against_true(CURVE, CURVE, tmp_path / "c.png"),
    ]
    threads = [threading.Thread(target=task) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png", "c.png"]
    assert was_there or "matplotlib.pyplot" not in sys.modules


def test_one_wild_prediction_or_epoch_does_not_flatten_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn: list[Any] = []
    for module in (figures, predicted):
        monkeypatch.setattr(module, "write", lambda figure, file: drawn.append(figure) or file)
    true = np.linspace(-1, 1, 200)
    wild = true + 0.01 * np.sin(np.arange(200))
    wild[7] = 1e9
    figures.predicted_against_true(true, wild, tmp_path / "x.png")
    scatter, residuals = drawn[0].axes
    assert scatter.get_ylim()[1] < 1.2 and residuals.get_xlim()[1] < 0.1
    assert residuals.get_xlabel() == "predicted - true (1 further away)"
    figures.learning_curves({"loss": [1.0, 0.8, 1e30, 0.7], "val_loss": [1.0, 0.9, 0.9, 0.8]}, tmp_path / "y.png")
    [axes] = drawn[1].axes
    assert axes.get_ylim()[1] <= 1e4 and axes.get_title() == "loss (off the scale: up to 1e+30)"

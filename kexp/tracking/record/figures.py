"""Draws the figures of a run as PNG files, with matplotlib's objects, which any thread can use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import StoreError, first_line
from kexp.system.whole_files import whole_file
from kexp.tracking.record.canvas import BEST, TRAIN, VALIDATION, grid, new_figure, plain, write
from kexp.tracking.record.predicted import predicted_against_true
from kexp.tracking.values import shorten

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["confusion_matrix", "draw", "draw_figure", "labels", "learning_curves", "predicted_against_true"]

_MOST_LABELLED = 30
_MOST_NUMBERED = 20
_FAR_OFF = 1e4  # times the median of a curve


def draw_figure(drawing: str, file: Path, arrays: Mapping[str, Any], options: Mapping[str, Any]) -> Path:
    """Draws one of the figures below by its name; `arrays` and `options` together are its arguments. Returns `file`."""
    drawings = {each.__name__: each for each in (confusion_matrix, labels, learning_curves, predicted_against_true)}
    return drawings[drawing](file=file, **arrays, **options)


def draw(folder: Path, figure: dict[str, Any]) -> Path:
    """Returns the PNG of a figure's row, `figures/DRAWING.png` in the run's folder. Draws it if it is not current.

    Raises:
        OSError: the PNG cannot be written; a later attempt may succeed.
        StoreError: the figure cannot be drawn.
    """
    file, data = folder / "figures" / f"{figure['drawing']}.png", folder / figure["data"]
    if file.exists() and (not data.exists() or file.stat().st_mtime_ns > data.stat().st_mtime_ns):
        return file
    import numpy as np

    try:
        with np.load(data) as arrays, whole_file(file) as fresh:
            draw_figure(figure["drawing"], fresh, dict(arrays), figure["options"])
    except OSError:  # for example a full disk; a later attempt may succeed
        raise
    except Exception as error:
        raise StoreError(f"{file}: it could not be drawn: {type(error).__name__}: {first_line(error)}") from error
    return file


def learning_curves(history: Mapping[str, Sequence[float]], file: Path) -> Path:
    """Draws each metric by epoch, training against validation, and marks the epoch with the least validation loss.

    Args:
        history: one value an epoch for each metric; a validation metric's name begins with `val_`.
        file: the PNG to write.

    Returns:
        `file`.
    """
    names = [name for name in history if not name.startswith("val_") and len(history[name])]
    names.sort(key=lambda name: (name != "loss", list(history).index(name)))
    columns = 2 if len(names) == 4 else min(3, max(1, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    figure = grid(columns, rows)
    figure.suptitle("Learning curves", fontsize=13, fontweight="bold", y=1 - 0.12 / figure.get_figheight(), va="top")
    best = _best_epoch(history)
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(rows, columns, place)
        _draw_curve(axes, name, history[name], history.get(f"val_{name}"), best)
    return write(figure, file)


def _draw_curve(
    axes: Axes, name: str, train: Sequence[float], validation: Sequence[float] | None, best: int | None
) -> None:
    """Draws a metric of training and validation over the epochs, and marks the best epoch, counted from 0."""
    from matplotlib.ticker import MaxNLocator

    marker = "o" if len(train) <= 30 else None
    for values, label, colour in ((train, "train", TRAIN), (validation, "validation", VALIDATION)):
        if values is not None and len(values):
            epochs = range(1, 1 + len(values))
            axes.plot(epochs, values, label=label, color=colour, linewidth=1.8, marker=marker, markersize=3.5)
    if best is not None:
        axes.axvline(best + 1, color=BEST, linestyle="--", linewidth=1.2, label=f"best epoch ({best + 1})")
        if validation is not None and best < len(validation):
            axes.plot([best + 1], [validation[best]], marker="*", markersize=12, color=BEST, linestyle="none")
    shown = [value for values in (train, validation or ()) for value in values if math.isfinite(value) and value > 0]
    if name == "loss" and shown and max(shown) / min(shown) > 100 and min(*train, *(validation or train)) > 0:
        axes.set_yscale("log")
    top = _FAR_OFF * sorted(shown)[len(shown) // 2] if shown else math.inf
    off = max(shown, default=0.0) > top  # a diverged epoch must not flatten all others
    if off:
        axes.set_ylim(top=top)
    axes.set_title(_readable_name(name) + (f" (off the scale: up to {max(shown):.3g})" if off else ""), fontsize=11)
    axes.set_ylabel(_readable_name(name))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.5, max(len(train), 2) + 0.5)
    plain(axes)
    axes.legend(frameon=False, fontsize=9)


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, classes: Sequence[Any], file: Path) -> Path:
    """Draws how often each true class was predicted as each class. Colours are shares of the true class.

    Args:
        y_true: class indices, shape (samples,).
        y_pred: predicted class indices, shape (samples,).
        classes: the classes' names, by index.
        file: the PNG to write.

    Returns:
        `file`.
    """
    import numpy as np

    true, predicted = np.asarray(y_true, dtype=int).ravel(), np.asarray(y_pred, dtype=int).ravel()
    count = len(classes)
    matrix = np.zeros((count, count), dtype=int)
    np.add.at(matrix, (true, predicted), 1)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = min(3.2 + 0.45 * count, 12.0)
    figure = new_figure(size + 1.2, size)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    accuracy = float(np.trace(matrix)) / max(int(matrix.sum()), 1)
    axes.set_title(
        f"Confusion matrix: {accuracy:.1%} of {matrix.sum():,} right", fontsize=12, fontweight="bold", pad=10
    )
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    _label_classes(axes, [str(name) for name in classes])
    if count <= _MOST_NUMBERED:
        _number_cells(axes, matrix, share)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.04)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return write(figure, file)


def _label_classes(axes: Axes, names: list[str]) -> None:
    """Labels every class, or, if there are very many, every n-th."""
    step = max(1, math.ceil(len(names) / _MOST_LABELLED))
    places = list(range(0, len(names), step))
    shown = [shorten(names[place], 18) for place in places]
    turned = max(map(len, shown), default=0) > 3
    size = 9 if len(places) <= 20 else 7
    axes.set_xticks(places, shown, rotation=45 if turned else 0, ha="right" if turned else "center", fontsize=size)
    axes.set_yticks(places, shown, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _number_cells(axes: Axes, matrix: np.ndarray, share: np.ndarray) -> None:
    size = 10 if len(matrix) <= 10 else 7
    for row in range(len(matrix)):
        for column in range(len(matrix)):
            if matrix[row, column]:
                colour = "white" if share[row, column] > 0.5 else "#24292f"
                axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour, fontsize=size)


def labels(y_true: ArrayLike, y_pred: ArrayLike, file: Path, *, names: Sequence[str] = ()) -> Path:
    """Draws the area under the ROC curve, the F1 score and the accuracy of each label.

    Args:
        y_true: 0 and 1, shape (samples, labels).
        y_pred: probabilities of the same shape, or scores, which are cut at 0.
        file: the PNG to write.
        names: the labels' names.

    Returns:
        `file`.
    """
    import numpy as np
    from sklearn import metrics

    true = np.asarray(y_true) > 0.5
    predicted = np.asarray(y_pred, dtype=float)
    threshold = 0.5 if predicted.min(initial=0.0) >= 0 and predicted.max(initial=1.0) <= 1 else 0.0
    positive = predicted > threshold
    count = true.shape[1]
    rows = [str(names[place]) if place < len(names) else f"label {place}" for place in range(count)]
    both = [0 < true[:, place].sum() < len(true) for place in range(count)]
    scores = {
        "AUC": [
            metrics.roc_auc_score(true[:, place], predicted[:, place]) if both[place] else math.nan
            for place in range(count)
        ],
        "F1": [metrics.f1_score(true[:, place], positive[:, place], zero_division=0.0) for place in range(count)],
        "accuracy": list((true == positive).mean(axis=0)),
    }
    figure = new_figure(8.0, min(1.6 + 0.55 * count, 14.0))
    axes = figure.add_subplot()
    for offset, (name, colour) in enumerate(zip(scores, (TRAIN, VALIDATION, BEST), strict=True)):
        places = np.arange(count) + 0.27 * (offset - 1)
        values = np.nan_to_num(scores[name])
        axes.barh(places, values, height=0.25, color=colour, label=name)
        for place, value in zip(places, scores[name], strict=True):
            if count <= _MOST_NUMBERED and math.isfinite(value):
                axes.text(min(value, 1.0) + 0.01, place, f"{value:.3f}", va="center", fontsize=8)
    axes.set_yticks(range(count), rows)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_title("Labels", fontsize=12, fontweight="bold")
    plain(axes)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return write(figure, file)


def _best_epoch(history: Mapping[str, Sequence[float]]) -> int | None:
    losses = [value if math.isfinite(value) else math.inf for value in history.get("val_loss", ())]
    return losses.index(min(losses)) if losses and min(losses) < math.inf else None


def _readable_name(name: str) -> str:
    return name.replace("_", " ")

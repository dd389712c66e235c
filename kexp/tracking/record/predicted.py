"""The figure of a regression: predictions over the truth, and how far they are from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.tracking.record.canvas import TRAIN, VALIDATION, new_figure, plain, write

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["predicted_against_true"]

_MOST_POINTS = 5000
_FENCE = 6.0  # times the interquartile range of the residuals


def predicted_against_true(y_true: ArrayLike, y_pred: ArrayLike, file: Path, *, names: Sequence[str] = ()) -> Path:
    """Draws predictions over the truth, and the distribution of the residuals; for several outputs the first nine.

    Args:
        y_true: shape (samples,) or (samples, outputs).
        y_pred: of the same shape.
        file: the PNG to write.
        names: the outputs' names.

    Returns:
        `file`.
    """
    import numpy as np

    true = np.asarray(y_true, dtype=float)
    true = true.reshape(len(true), -1)
    predicted = np.asarray(y_pred, dtype=float).reshape(true.shape)
    outputs = true.shape[1]
    if outputs == 1:
        figure = new_figure(10.4, 4.9)
        _draw_scatter(figure.add_subplot(1, 2, 1), true[:, 0], predicted[:, 0], "")
        _draw_residuals(figure.add_subplot(1, 2, 2), predicted[:, 0] - true[:, 0])
    else:
        shown = min(outputs, 9)
        columns = min(3, shown)
        rows = math.ceil(shown / columns)
        figure = new_figure(4.2 * columns, 4.0 * rows + 0.4)
        for output in range(shown):
            label = names[output] if output < len(names) else f"output {output}"
            _draw_scatter(figure.add_subplot(rows, columns, output + 1), true[:, output], predicted[:, output], label)
    note = "" if outputs <= 9 else f" (first 9 of {outputs} outputs)"
    figure.suptitle(f"Predicted against true{note}", fontsize=13, fontweight="bold")
    return write(figure, file)


def _draw_scatter(axes: Axes, true: np.ndarray, predicted: np.ndarray, label: str) -> None:
    """Draws predictions over the true values, with R² and RMSE in the title."""
    import numpy as np

    finite = np.isfinite(true) & np.isfinite(predicted)
    true, predicted = true[finite], predicted[finite]
    spread = float(np.sum((true - true.mean()) ** 2)) if len(true) else 0.0
    r2 = 1 - float(np.sum((true - predicted) ** 2)) / spread if spread > 0 else math.nan
    rmse = float(np.sqrt(np.mean((true - predicted) ** 2))) if len(true) else math.nan
    step = max(1, len(true) // _MOST_POINTS)  # more points take longer to draw and show nothing more
    axes.scatter(true[::step], predicted[::step], s=14, alpha=0.45, color=TRAIN, edgecolors="none")
    if len(true):
        near = predicted[_near(predicted - true)]
        low, high = float(min(true.min(), near.min())), float(max(true.max(), near.max()))
        room = 0.04 * (high - low or 1.0)
        axes.plot(
            [low - room, high + room], [low - room, high + room], color=VALIDATION, linewidth=1.3, label="perfect"
        )
        axes.set_xlim(low - room, high + room)
        axes.set_ylim(low - room, high + room)
        axes.legend(frameon=False, fontsize=9, loc="upper left")
    axes.set_title(f"{label + ': ' if label else ''}R² {r2:.4g}, RMSE {rmse:.4g}", fontsize=11)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.set_aspect("equal", adjustable="box")
    plain(axes)


def _draw_residuals(axes: Axes, residuals: np.ndarray) -> None:
    import numpy as np

    residuals = residuals[np.isfinite(residuals)]
    bins = min(60, max(10, int(math.sqrt(len(residuals)))))
    near = residuals[_near(residuals)]
    axes.hist(near, bins=bins, color=TRAIN, alpha=0.8, edgecolor="white", linewidth=0.4)
    axes.axvline(0.0, color=VALIDATION, linewidth=1.3)
    if len(residuals):
        axes.set_title(f"residuals: mean {residuals.mean():.4g}, standard deviation {residuals.std():.4g}", fontsize=11)
    far = len(residuals) - len(near)
    axes.set_xlabel("predicted - true" + (f" ({far:,} further away)" if far else ""))
    axes.set_ylabel("samples")
    plain(axes)


def _near(residuals: np.ndarray) -> np.ndarray:
    """Returns which residuals are shown: a few outliers must not flatten the others."""
    import numpy as np

    low, high = np.quantile(residuals, [0.25, 0.75]) if len(residuals) else (0.0, 0.0)
    reach = _FENCE * (high - low) or math.inf
    near: np.ndarray = (residuals >= low - reach) & (residuals <= high + reach)
    return near

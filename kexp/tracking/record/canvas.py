"""The size, colours, grid and file that all figures have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BEST", "TRAIN", "VALIDATION", "grid", "new_figure", "plain", "write"]

TRAIN, VALIDATION, BEST, GRID = "#1f6feb", "#e36209", "#2da44e", "#d0d7de"
DPI = 120


def plain(axes: Axes) -> None:
    """Adds a grid behind the plot, and removes the frame above it and to its right."""
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def new_figure(width: float, height: float) -> Figure:
    """Returns a figure of this size in inches, with an automatic layout."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    return Figure(figsize=(width, height), dpi=DPI, layout=layout)


def grid(columns: int, rows: int) -> Figure:
    """Returns a figure for a grid of plots with short labels. An automatic layout would double the drawing time."""
    from matplotlib.figure import Figure

    width, height = 5.2 * columns, 3.7 * rows + 0.4
    figure = Figure(figsize=(width, height), dpi=DPI)
    figure.subplots_adjust(
        left=0.75 / width,
        right=1 - 0.15 / width,
        bottom=0.55 / height,
        top=1 - 0.7 / height,
        wspace=0.85 / 4.3,
        hspace=0.9 / 2.8,
    )
    return figure


def write(figure: Figure, file: Path) -> Path:
    """Writes a figure as PNG. Returns `file`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(file)  # `savefig` draws everything twice: once to find the layout
    return file

"""Parallel coordinates: an axis for each parameter and objective, and a line for each row, coloured by rank."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kexp.sweeps.compare.comparison import Comparison, Row
from kexp.sweeps.compare.grouping import short_names
from kexp.sweeps.objective import Objective
from kexp.sweeps.report.figures.axes import Figure, axis_ticks, extent, label, parameter_axis

__all__ = ["MOST_AXES", "MOST_LINES", "chosen_rows", "parallel_figure"]

MOST_AXES = 12
MOST_LINES = 400  # without a graphics card, 1,000 lines take three seconds to draw
_HEIGHT = 460
_COLOURS = [[0, "#a9bdd3"], [0.75, "#4a86d8"], [0.92, "#f08c4a"], [1, "#d9480f"]]  # from the last to the best


def parallel_figure(comparison: Comparison, columns: Sequence[str], further: Sequence[Objective] = ()) -> Figure | None:
    """Returns the figure; None if fewer than two rows have a result.

    Args:
        comparison: the comparison; at most `MOST_LINES` rows are drawn, and `page.js` adds those that are mark_bool.
        columns: the parameters to draw, at most `MOST_AXES`.
        further: objectives besides the one that rows are ranked by.
    """
    every = [row for row in comparison.rows if row.values]
    if len(every) < 2 or not columns:
        return None
    axes = [parameter_axis(short, [row.params[key] for row in every]) for key, short in short_names(columns).items()]
    axes.append(_objective_axis(comparison.objective, [row.summary.mean for row in every]))
    for other in further:
        axes.append(_objective_axis(other, [row.others[other.metric].mean for row in every]))
    for axis in axes:  # of all rows, because brushing selects rows that are not drawn too; 6 digits are enough
        axis |= {key: [float(f"{value:.6g}") for value in axis[key]] for key in ("values", "range")}
    last = max(2, len(every))
    line = {
        "colorscale": _COLOURS,
        "cmin": 0,
        "cmax": last - 1,
        "showscale": True,
        "colorbar": {"title": {"text": "rank"}, "thickness": 12, "tickvals": [0, last - 1], "ticktext": [last, 1]},
    }
    faded = {"line": {"color": "#888", "opacity": 0.06}}
    trace = {
        "type": "parcoords",
        "dimensions": axes,
        "line": line,
        "unselected": faded,
        "rangefont": {"size": 1, "color": "rgba(0,0,0,0)"},
    }
    trace |= {"labelfont": {"size": 13}, "tickfont": {"size": 11}}
    drawn = [row.rank - 1 for row in chosen_rows(every)][::-1]  # the best is drawn last, on top of the others
    margin = {"t": 60, "b": 36, "l": 90, "r": 60}
    return {"data": [trace], "layout": {"height": _HEIGHT, "margin": margin}, "rows": drawn}


def chosen_rows(rows: Sequence[Row]) -> list[Row]:
    """Returns all rows; or, if they are too many, the best ones and an even sample of the others."""
    if len(rows) <= MOST_LINES:
        return list(rows)
    half = MOST_LINES // 2
    rest = rows[half:]
    return [*rows[:half], *(rest[place * len(rest) // half] for place in range(half))]


def _objective_axis(objective: Objective, values: Sequence[float]) -> Figure:
    """Returns an objective's axis: the best value is on top; diverged and missing values are at the lower end."""
    down = objective.direction == "minimize"
    shown = extent(values, minimize=down)
    ends = [shown.high, shown.low] if down else [shown.low, shown.high]
    room = 0.0 if shown.low < shown.high else 1.0
    return {
        "label": label(objective.metric + (" (log)" if shown.log else "")),
        "values": [shown.place(ends[0] if math.isnan(value) else value) for value in values],
        "range": [shown.place(ends[0]) - room, shown.place(ends[1]) + room],
        **(axis_ticks([shown.low, *filter(shown.shows, values), shown.high], shown) if shown.log else {}),
    }

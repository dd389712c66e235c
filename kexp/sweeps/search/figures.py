"""Optuna's own plots, as pictures that a page can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from kexp.sweeps.objective import Objective
from kexp.sweeps.report.svg import escape
from kexp.sweeps.search.optional import silent

__all__ = ["draw_figures"]

_FEWEST = 2  # results without which there is nothing to draw
_FEWEST_FOR_IMPORTANCE = 4
_MOST_AXES = 12  # parameters in one picture
_Figure = tuple[str, str]


def draw_figures(study: Any, objectives: Sequence[Objective]) -> list[_Figure]:
    """The front of several objectives; history, importance and parallel coordinates of each; every trial's epochs.

    What the trials are too few or too alike for is left out.

    Args:
        study: Optuna's.
        objectives: its objectives, in order.

    Returns:
        (heading, HTML): each an image within the HTML, so that the page needs nothing else.
    """
    import matplotlib.pyplot as plt

    figures = []
    with silent(), plt.rc_context({"svg.fonttype": "none"}), plt.ioff():
        for heading, draw in _plots(study, objectives):
            try:
                figures.append((heading, _image(draw(), heading)))
            except (ValueError, RuntimeError, ZeroDivisionError):
                continue  # a picture that these trials do not allow; the others may well be drawn
            finally:
                plt.close("all")
    return figures


def _plots(study: Any, objectives: Sequence[Objective]) -> Iterator[tuple[str, Callable[[], Any]]]:
    from optuna.visualization import matplotlib as plots

    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    if len(complete) < _FEWEST:
        return
    names = _varying(complete)[:_MOST_AXES]
    if len(objectives) in (2, 3):
        labels = [each.metric for each in objectives]
        yield "Search: Pareto front", partial(plots.plot_pareto_front, study, target_names=labels)
    for place, objective in enumerate(objectives):
        single = study if len(objectives) == 1 else _alone(complete, place, objective)
        name, of = objective.metric, f" of {objective.metric}" if len(objectives) > 1 else ""
        yield f"Search: history{of}", partial(plots.plot_optimization_history, single, target_name=name)
        if names and len(complete) >= _FEWEST_FOR_IMPORTANCE:
            draw = partial(plots.plot_param_importances, single, target_name=name)
            yield f"Search: importance{of}", partial(_without_legend, draw)
        if names:
            draw = partial(plots.plot_parallel_coordinate, single, names, target_name=name)
            yield f"Search: parallel coordinates{of}", draw
    if any(trial.intermediate_values for trial in trials):
        draw = partial(plots.plot_intermediate_values, study)
        yield "Search: epochs of every trial", partial(_without_legend, draw)


def _alone(complete: Sequence[Any], place: int, objective: Objective) -> Any:
    """The trials judged by one of their objectives: a study of several has no best line, and one order of colours."""
    import optuna

    study = optuna.create_study(direction=objective.direction)
    study.add_trials(
        [
            optuna.trial.create_trial(params=each.params, distributions=each.distributions, value=each.values[place])
            for each in complete
        ]
    )
    return study


def _varying(trials: Sequence[Any]) -> list[str]:
    """The parameters with more than one value."""
    seen: dict[str, set[Any]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            seen.setdefault(name, set()).add(value)
    return [name for name, values in seen.items() if len(values) > 1]


def _without_legend(draw: Callable[[], Any]) -> Any:
    """One entry a trial is longer than the picture is high."""
    axes = draw()
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()
    return axes


def _image(axes: Any, heading: str) -> str:
    import numpy as np

    figure = np.ravel(axes)[0].figure
    figure.set_size_inches(11, 5)
    content = io.BytesIO()
    figure.savefig(content, format="svg", bbox_inches="tight")
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img style="max-width:100%" alt="{escape(heading)}" src="data:image/svg+xml;base64,{data}">'

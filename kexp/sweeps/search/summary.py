"""Summaries of a search, as JSON and as text."""

from __future__ import annotations

import json

from kexp.config import as_typed
from kexp.sweeps.search.study import Study

__all__ = ["front_lines", "study_json"]


def study_json(study: Study) -> str:
    """Returns the space, the settings and the best suggestions of a study as JSON."""
    best = [
        {
            "trial": past.number,
            "values": {each.metric: value for each, value in zip(study.objectives, past.values, strict=True)},
            "overrides": list(study.space.overrides(past.chosen)),
        }
        for past in study.best()
    ]
    content = {
        "sampler": study.sampler.name,
        "seed": study.seed,
        "objectives": {each.metric: each.direction for each in study.objectives},
        "space": study.space.signature(),
        "trials": len(study.finished()),
        "best": best,
    }
    return json.dumps(content, indent=1)


def front_lines(study: Study) -> list[str]:
    """Returns a table of the Pareto-optimal trials, one line for each after the header."""
    best = sorted(study.best(), key=lambda past: study.objectives[0].rank_key(past.values[0]))
    lines = [f"{'trial':>5}  " + "  ".join(f"{each.metric:>12}" for each in study.objectives) + "  Pareto front"]
    for past in best:
        values = "  ".join(f"{value:>12.5g}" for value in past.values)
        chosen = study.space.overrides(past.chosen)[len(study.space.fixed) :]
        lines.append(f"{past.number:>5}  {values}  {' '.join(map(as_typed, chosen))}")
    return lines

"""The comparison for programs: every trial as CSV, the rows as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Any, TextIO

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.compare.grouping import ABSENT
from kexp.tracking.values import param_value

__all__ = ["rows_csv", "rows_json", "write_trials_csv"]


def write_trials_csv(comparison: Comparison, file: TextIO) -> None:
    """One line a trial, oldest first: what it is, the row that it counts in, its parameters, its last metrics."""
    params = sorted({key for trial in comparison.trials for key in trial.params})
    params = [*comparison.columns, *(key for key in params if key not in comparison.columns)]
    metrics = sorted({name for trial in comparison.trials for name in trial.metrics})
    ranks = {trial.run_id: row.rank for row in comparison.rows for trial in row.trials.values()}
    reasons = {trial.run_id: why for trial, why in comparison.lost}
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["run_id", "name", "state", "reason", "rank", "duration_s", *params, *(f"metrics.{name}" for name in metrics)]
    )
    for trial in comparison.trials:
        writer.writerow(
            [
                trial.run_id,
                trial.name,
                trial.state,
                reasons.get(trial.run_id, trial.reason),
                ranks.get(trial.run_id, ""),
                "" if trial.duration_s is None else f"{trial.duration_s:.3f}",
                *("" if key not in trial.params else param_value(trial.params[key]) for key in params),
                *(trial.metrics.get(name, "") for name in metrics),
            ]
        )


def rows_csv(comparison: Comparison) -> str:
    """The rows, all digits."""
    out = io.StringIO()
    comparison.frame().to_csv(out, index=False, lineterminator="\n")
    return out.getvalue()


def rows_json(comparison: Comparison) -> str:
    """Objective, conclusion, notes and rows; NaN is null, because JSON has none."""
    content = {
        "title": comparison.title,
        "objective": comparison.objective.metric,
        "direction": comparison.objective.direction,
        "conclusion": comparison.conclusion(),
        "notes": comparison.notes,
        "confidence": comparison.confidence,
        "rows": [_row(comparison, place) for place in range(len(comparison.rows))],
        "lost": [
            {"run_id": trial.run_id, "name": trial.name, "state": trial.state, "reason": why}
            for trial, why in comparison.lost
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _row(comparison: Comparison, place: int) -> dict[str, Any]:
    row = comparison.rows[place]
    judged, summary = row.judgement, row.summary
    return {
        "rank": row.rank or None,
        "params": {key: value for key, value in row.params.items() if value is not ABSENT},
        "mean": _number(summary.mean),
        "sd": _number(summary.sd),
        "interval": [_number(summary.low), _number(summary.high)],
        "n": summary.n,
        "metrics": {name: _number(other.mean) for name, other in row.others.items()},
        "difference": _number(judged.difference),
        "p_value": _number(judged.p),
        "verdict": judged.verdict,
        "more_seeds": judged.more_seeds,
        "remark": judged.remark,
        "runs": _runs(row.trials),
        "lost": row.lost,
    }


def _runs(trials: Mapping[Any, Any]) -> list[str]:
    return [trial.run_id for trial in trials.values()]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

"""The comparison for programs: all trials as CSV, and the rows as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

from kexp.sweeps.compare.comparison import Comparison, Row
from kexp.sweeps.compare.grouping import ABSENT
from kexp.tracking.values import param_value

__all__ = ["rows_csv", "rows_json", "trials_csv"]


def trials_csv(comparison: Comparison) -> str:
    """Returns a line for each trial, oldest first: its state, the rank of its row, its parameters, its last metrics."""
    params = sorted({key for trial in comparison.trials for key in trial.params})
    params = [*comparison.columns, *(key for key in params if key not in comparison.columns)]
    metrics = sorted({name for trial in comparison.trials for name in trial.metrics})
    ranks = {trial.run_id: row.rank for row in comparison.rows for trial in row.trials.values()}
    reasons = {trial.run_id: why for trial, why in comparison.lost}
    file = io.StringIO()
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
    return file.getvalue()


def rows_csv(comparison: Comparison) -> str:
    """Returns the rows with all digits."""
    text: str = comparison.frame().to_csv(index=False, lineterminator="\n")
    return text


def rows_json(comparison: Comparison) -> str:
    """Returns the objective, the conclusion, the notes and the rows. NaN becomes null, because JSON has no NaN."""
    content = {
        "title": comparison.title,
        "objective": comparison.objective.metric,
        "direction": comparison.objective.direction,
        "conclusion": comparison.conclusion(),
        "notes": comparison.notes,
        "confidence": comparison.confidence,
        "rows": [_row(row) for row in comparison.rows],
        "lost": [
            {"run_id": trial.run_id, "name": trial.name, "state": trial.state, "reason": why}
            for trial, why in comparison.lost
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _row(row: Row) -> dict[str, Any]:
    judged, summary = row.judgement, row.summary
    return {
        "rank": row.rank or None,
        "params": {key: value for key, value in row.params.items() if value is not ABSENT},
        "mean": _finite_or_none(summary.mean),
        "sd": _finite_or_none(summary.sd),
        "interval": [_finite_or_none(summary.low), _finite_or_none(summary.high)],
        "n": summary.n,
        "metrics": {name: _finite_or_none(other.mean) for name, other in row.others.items()},
        "difference": _finite_or_none(judged.difference),
        "p_value": _finite_or_none(judged.p),
        "verdict": judged.verdict,
        "more_seeds": judged.more_seeds,
        "remark": judged.remark,
        "runs": [trial.run_id for trial in row.trials.values()],
        "lost": row.lost,
    }


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None

"""A comparison: rows ranked by the objective, each with its statistics over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.sweeps.compare.folds import Fold
from kexp.sweeps.compare.grouping import ABSENT, short_names, show_value, significant_digits
from kexp.sweeps.compare.judge import Judgement
from kexp.sweeps.compare.results import TrialResult
from kexp.sweeps.compare.statistics import Summary
from kexp.sweeps.objective import Objective
from kexp.tracking.values import shorten

if TYPE_CHECKING:
    import pandas

__all__ = ["Comparison", "Row"]


@dataclass(frozen=True)
class Row:
    """One choice of parameters, summarised over its seeds.

    Attributes:
        rank: 1 is the best by the mean; 0 if no trial has a result.
        params: column -> value; ABSENT if the choice has no such parameter.
        values: seed -> objective.
        summary: statistics of `values`.
        others: metric -> statistics over the seeds, for the other metrics.
        judgement: the test against the reference row.
        trials: seed -> the trial that gave the value.
        lost: how many seeds of this choice have no result.
    """

    rank: int
    params: Mapping[str, Any]
    values: Mapping[Any, float]
    summary: Summary
    others: Mapping[str, Summary]
    judgement: Judgement
    trials: Mapping[Any, TrialResult]
    lost: int = 0


@dataclass(frozen=True)
class Comparison:
    """Rows ranked by the objective, each judged against the best.

    Attributes:
        title: the name of the sweep or experiment.
        objective: metric and direction.
        rows: best first; choices without any result last.
        columns: the parameters in which the rows differ.
        metrics: further metrics to show.
        trials: all trials that were compared.
        lost: trials without a result, each with the reason.
        notes: caveats for the reader of the table.
        confidence: confidence level of intervals and tests, between 0 and 1.
        folder: the sweep's folder with cached histories; None if it is not on this machine.
    """

    title: str
    objective: Objective
    rows: list[Row] = field(repr=False)
    columns: list[str]
    metrics: list[str]
    trials: list[TrialResult] = field(repr=False)
    lost: list[tuple[TrialResult, str]] = field(repr=False)
    notes: list[str] = field(default_factory=list)
    confidence: float = 0.95
    folder: Path | None = None

    @property
    def draws(self) -> str:
        """What distinguishes the values of a row: `seed` or `fold`."""
        return "fold" if any(isinstance(seed, Fold) for row in self.rows for seed in row.trials) else "seed"

    @property
    def single(self) -> bool:
        """Whether no choice ran more than once, so that its variance is unknown."""
        return not any(len(row.trials) + row.lost > 1 for row in self.rows)

    @cached_property
    def digits(self) -> Mapping[str, int]:
        """Column -> how many significant digits of a number to show."""
        return {key: significant_digits(row.params[key] for row in self.rows) for key in self.columns}

    @property
    def reference(self) -> Row | None:
        """The row that the others are tested against; None if no row has a result."""
        return next((row for row in self.rows if row.judgement.verdict == "best"), None)

    def label(self, row: Row) -> str:
        """Returns the row's parameters as text: `optimizer=adam, learning_rate=0.001`."""
        short = short_names(self.columns)
        shown = [
            (short[key], show_value(row.params[key], self.digits[key]))
            for key in self.columns
            if row.params[key] is not ABSENT
        ]
        return ", ".join(f"{name}={shorten(value, 48)}" for name, value in shown) or "all trials"

    def frame(self) -> pandas.DataFrame:
        """Returns a DataFrame with one row for each choice.

        Returns:
            Columns: `rank`; the parameters; the objective's mean under its name, with `_sd`, `_low`, `_high` (interval)
            and `n`; each further metric's mean and `_sd`; then `difference` (mean over shared seeds, this row minus the
            best), `p_value` (corrected), `verdict`, `more_seeds` and `lost`.
        """
        import pandas

        frame = pandas.DataFrame([self._record(row) for row in self.rows])
        return frame.astype({"rank": "Int64", "more_seeds": "Int64"})

    def conclusion(self) -> str:
        """Returns the result of the comparison in one or two sentences."""
        best = self.reference
        if best is None:
            return "No trial has a result."
        verdicts = [row.judgement.verdict for row in self.rows]
        worse, tied = verdicts.count("worse"), verdicts.count("indistinguishable")
        spread = ""
        if best.summary.n > 1:
            half = (best.summary.high - best.summary.low) / 2
            spread = f" ± {half:.2g} ({self.confidence:.0%} interval of {best.summary.n} {self.draws}s)"
        value = f"{self.objective.metric} {best.summary.mean:.4g}{spread}."
        answer = f"Best: {self.label(best)}, {value}" if len(self.rows) > 1 else f"One choice: {value}"
        if not worse and not tied:
            return answer
        if all(row.judgement.shared < 2 for row in self.rows if row is not best):
            draws = f"{self.draws}s"
            return f"{answer} One {self.draws} cannot tell a difference from chance: add {draws} (sweep.{draws}=5)."
        return (
            answer
            + (f" It is better than {_number_of_others(worse, worse + tied)}." if worse else "")
            + (f" {_number_of_others(tied, worse + tied).capitalize()} cannot be told from it." if tied else "")
        )

    def _record(self, row: Row) -> dict[str, Any]:
        metric, summary, judged = self.objective.metric, row.summary, row.judgement
        record: dict[str, Any] = {"rank": row.rank or None}
        record |= {key: None if row.params[key] is ABSENT else row.params[key] for key in self.columns}
        record |= {metric: summary.mean, f"{metric}_sd": summary.sd}
        record |= {f"{metric}_low": summary.low, f"{metric}_high": summary.high, "n": summary.n}
        for name in self.metrics:
            record |= {name: row.others[name].mean, f"{name}_sd": row.others[name].sd}
        record |= {"difference": judged.difference, "p_value": judged.p, "verdict": judged.verdict}
        return record | {"more_seeds": judged.more_seeds, "lost": row.lost}


def _number_of_others(count: int, others: int) -> str:
    if others == 1:
        return "the other choice"
    return f"all {others:,} other choices" if count == others else f"{count:,} of the {others:,} other choices"

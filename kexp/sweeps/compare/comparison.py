"""A comparison: rows ranked by the objective, each with what the seeds say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kexp.sweeps.compare.folds import Fold
from kexp.sweeps.compare.grouping import ABSENT, digits_of, short_names, shorten, show_value
from kexp.sweeps.compare.judge import Judgement
from kexp.sweeps.compare.results import TrialResult
from kexp.sweeps.compare.statistics import Summary
from kexp.sweeps.objective import Objective

if TYPE_CHECKING:
    import pandas

__all__ = ["Comparison", "Row"]


@dataclass(frozen=True)
class Row:
    """One choice, over its seeds.

    Attributes:
        rank: 1 is the best by the mean; 0 where no trial has a result.
        params: the comparison's columns; ABSENT where the choice has no such parameter.
        values: seed -> the objective.
        summary: of `values`.
        others: the other metrics, each over the seeds.
        judgement: against the reference row.
        trials: the trials that `values` are of, by seed.
        lost: seeds of this choice without a result.
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
        title: what was compared.
        objective: metric and direction.
        rows: best first; choices without any result last.
        columns: the parameters that tell the rows apart.
        metrics: further metrics shown.
        trials: all trials that took part.
        lost: trials without a result, and why.
        notes: what a reader should know before believing the table.
        confidence: of intervals and tests.
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

    @property
    def draws(self) -> str:
        """What the values of a row are drawn by: seed or fold."""
        return "fold" if any(isinstance(seed, Fold) for row in self.rows for seed in row.trials) else "seed"

    @property
    def single(self) -> bool:
        """Whether no choice ran more than once, so that nothing can be said of chance."""
        return not any(len(row.trials) + row.lost > 1 for row in self.rows)

    @cached_property
    def digits(self) -> Mapping[str, int]:
        """Of each column, how many digits of a number to show."""
        return {key: digits_of(row.params[key] for row in self.rows) for key in self.columns}

    @property
    def reference(self) -> Row | None:
        """The row that the others are tested against."""
        return next((row for row in self.rows if row.judgement.verdict == "best"), None)

    def label(self, row: Row) -> str:
        """The row in a few words: `optimizer=adam, learning_rate=0.001`."""
        short = short_names(self.columns)
        there = [
            (short[key], show_value(row.params[key], self.digits[key]))
            for key in self.columns
            if row.params[key] is not ABSENT
        ]
        return ", ".join(f"{name}={shorten(value, 48)}" for name, value in there) or "all trials"

    def frame(self) -> pandas.DataFrame:
        """A DataFrame with one row a choice.

        Columns: `rank`, the parameters, the objective's mean under its name with `_sd`, `_low`, `_high` (interval)
            and `n`, each further
        metric's mean and `_sd`, then `difference` (mean over shared seeds, this row less the best), `p_value`
        (corrected), `verdict`, `more_seeds` and `lost`.
        """
        import pandas

        frame = pandas.DataFrame([self._record(row) for row in self.rows])
        return frame.astype({"rank": "Int64", "more_seeds": "Int64"})

    def conclusion(self) -> str:
        """The answer in a sentence or two."""
        best = self.reference
        if best is None:
            return "No trial has a result."
        verdicts = [row.judgement.verdict for row in self.rows]
        told, open_ = verdicts.count("worse"), verdicts.count("indistinguishable")
        spread = ""
        if best.summary.n > 1:
            half = (best.summary.high - best.summary.low) / 2
            spread = f" ± {half:.2g} ({self.confidence:.0%} interval of {best.summary.n} {self.draws}s)"
        value = f"{self.objective.metric} {best.summary.mean:.4g}{spread}."
        answer = f"Best: {self.label(best)}, {value}" if len(self.rows) > 1 else f"One choice: {value}"
        if not told and not open_:
            return answer
        if all(row.judgement.shared < 2 for row in self.rows if row is not best):
            draws = f"{self.draws}s"
            return f"{answer} One {self.draws} cannot tell a difference from chance: add {draws} (sweep.{draws}=5)."
        return (
            answer
            + (f" It is better than {_of(told, told + open_)}." if told else "")
            + (f" {_of(open_, told + open_).capitalize()} cannot be told from it." if open_ else "")
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


def _of(count: int, others: int) -> str:
    if others == 1:
        return "the other choice"
    return f"all {others:,} other choices" if count == others else f"{count:,} of the {others:,} other choices"

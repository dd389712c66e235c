"""Parameter importance, by a random forest that predicts the ranking of trials."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.compare.folds import Fold
from kexp.sweeps.compare.grouping import ABSENT, SEED, is_number, mark_bool, short_names
from kexp.sweeps.report.figures.axes import Figure, label

__all__ = ["FEWEST_TRIALS", "Importance", "importance_figure", "parameter_importance"]

FEWEST_TRIALS = 10
_MOST_TRIALS = 2000
_MOST_BARS = 15


@dataclass(frozen=True)
class Importance:
    """The importance of parameters.

    Attributes:
        shares: parameter -> share, largest first; they sum to 1, or are all 0 if no parameter matters.
        explained: R² of the forest's out-of-bag predictions of the ranking; at most 1.
    """

    shares: dict[str, float]
    explained: float


def parameter_importance(comparison: Comparison) -> Importance | None:
    """Computes the permutation importance in a random forest that predicts the rank from the parameters and the seed.

    Ranks are used instead of values, so that one diverged trial does not outweigh all others. The result is None for
    fewer than `FEWEST_TRIALS` results, and if fewer than two parameters vary: a single one has all the importance.

    Optuna's fANOVA does not support parameters that only some trials have, and does not report how much its forest
    explains.

    Source:
        Breiman (2001), Random forests, section 10.
    """
    samples = [(row, seed, value) for row in comparison.rows for seed, value in row.values.items()]
    keys = [*comparison.columns, SEED]
    table = [
        [*(row.params[key] for key in comparison.columns), seed.number if isinstance(seed, Fold) else seed]
        for row, seed, _ in samples
    ]
    varying = [place for place in range(len(keys)) if len({mark_bool(line[place]) for line in table}) > 1]
    if len(samples) < FEWEST_TRIALS or len(varying) < 2:
        return None
    import numpy as np
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    x = np.column_stack([_encode([line[place] for line in table]) for place in varying])
    y = rankdata([value for _, _, value in samples])
    if len(y) > _MOST_TRIALS:
        chosen = np.random.default_rng(0).choice(len(y), _MOST_TRIALS, replace=False)
        x, y = x[chosen], y[chosen]
    if np.ptp(y) == 0:
        return None
    forest = RandomForestRegressor(n_estimators=64, oob_score=True, random_state=0, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with few trials, a tree may have no out-of-bag samples
        forest.fit(x, y)
        lost = permutation_importance(forest, x, y, n_repeats=5, random_state=0, n_jobs=1).importances_mean
    lost = np.clip(lost, 0, None)
    shares = lost / lost.sum() if lost.sum() > 0 else lost
    order = np.argsort(-shares, kind="stable")
    return Importance({keys[varying[place]]: float(shares[place]) for place in order}, float(forest.oob_score_))


def importance_figure(importance: Importance) -> Figure:
    """Draws the shares as bars, the longest on top."""
    shown = list(importance.shares.items())[:_MOST_BARS][::-1]
    short = short_names(list(importance.shares))
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [label(short[key]) for key, _ in shown],
        "x": [share for _, share in shown],
        "text": [f"{share:.0%}" for _, share in shown],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "marker": {"color": "#2f7de1"},
    }
    layout = {
        "height": 60 + 30 * len(shown),
        "margin": {"t": 10, "b": 40, "l": 10, "r": 60},
        "xaxis": {"tickformat": ".0%", "rangemode": "tozero", "fixedrange": True},
        "yaxis": {"automargin": True, "fixedrange": True, "type": "category"},
    }
    return {"data": [bars], "layout": layout}


def _encode(values: Sequence[Any]) -> Any:
    """Encodes values as numbers (trees need no logarithm): texts above all numbers, absent values below."""
    import numpy as np

    numbers = [value for value in values if is_number(value)]
    texts = sorted({str(mark_bool(value)) for value in values if value is not ABSENT and value not in numbers})
    codes = {name: place for place, name in enumerate(texts)}
    below = (min(numbers) if numbers else 0.0) - 1.0
    above = (max(numbers) if numbers else -1.0) + 1.0
    encoded = []
    for value in values:
        if value is ABSENT:
            encoded.append(below)
        elif is_number(value):
            encoded.append(float(value))
        else:
            encoded.append(above + codes[str(mark_bool(value))])
    return np.array(encoded)

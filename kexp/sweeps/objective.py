"""The objective of a sweep: a metric, its direction, and the epoch whose value counts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from kexp.errors import ConfigError, UnknownNameError

__all__ = ["Direction", "Objective", "choose_objective", "choose_objectives", "direction_of", "kept_epoch"]

Direction = Literal["minimize", "maximize"]

# Parts of metric names, as words between underscores. `_LESS` takes precedence, because names such as `false_negatives`
# and `precision_loss` contain words of both lists.
_LESS = re.compile(
    "_(negative|loss|error|mse|mae|rmse|nmse|mape|msle|smape|nll|bce|cce|crossentropy|cross_entropy|hinge|divergence|poisson|huber"
    "|logcosh|log_cosh|perplexity|brier|deviance|false_positives|false_negatives|fpr|fnr|wer|cer|mer|ece|regret|distance|cost)_"
)
_MORE = re.compile(
    "_(accuracy|acc|auc|auroc|auprc|prauc|precision|recall|sensitivity|specificity|f1|f2|fbeta|f_beta|r2|iou|io_u|dice|jaccard"
    "|top_k|topk|correlation|concordance|cosine_similarity|true_positives|true_negatives|tpr|tnr|kappa|mcc|matthews|psnr|ssim"
    "|bleu|rouge|ndcg|mrr|map|score|reward|hits|hit_rate|explained_variance|likelihood|elbo)_"
)


@dataclass(frozen=True)
class Objective:
    """A metric and its direction."""

    metric: str
    direction: Direction

    def better(self, a: float, b: float) -> bool:
        """Returns whether a is better than b."""
        return a < b if self.direction == "minimize" else a > b

    def rank_key(self, value: float) -> tuple[bool, float]:
        """Returns a sort key that puts the best value first and NaN last."""
        lost = math.isnan(value)
        return lost, 0.0 if lost else (value if self.direction == "minimize" else -value)


def direction_of(metric: str) -> Direction | None:
    """Derives the direction of a metric from its name; None if the name does not show it.

    The prefixes `val_` and `test_` and a trailing number (`auc_1`) are ignored.
    """
    name = re.sub(r"^(val_|test_|train_|epoch_)+", "", metric.strip().lower())
    words = "_" + re.sub(r"[^a-z0-9]+", "_", name) + "_"
    if _LESS.search(words):
        return "minimize"
    if _MORE.search(words):
        return "maximize"
    if name.endswith(("loss", "error", "entropy", "divergence")):
        return "minimize"
    return "maximize" if re.search(r"(accuracy|auc|precision|recall|score|f1)\d*$", name) else None


def choose_objective(
    metrics: Iterable[str],
    metric: str | None = None,
    direction: str | None = None,
    *,
    losses_differ: bool = False,
    key: str = "objective",
) -> Objective:
    """Returns the objective that the user chose, or the default.

    Args:
        metrics: the measured metrics; if empty, because every trial failed, any metric is accepted.
        metric: the chosen metric. None means `val_loss`; another validation metric if the trials have different losses,
            whose values are not comparable; a training metric only if there is no validation.
        direction: minimize or maximize; None derives it from the metric's name.
        losses_differ: whether the trials were trained with different losses.
        key: the name of the setting, for messages.

    Raises:
        UnknownNameError: the metric is not measured.
        ConfigError: the direction is invalid, or cannot be derived from the name.
    """
    measured = list(metrics)
    if metric is None:
        metric = _default_metric(measured, losses_differ)
    elif measured and metric not in measured:
        raise UnknownNameError(key, "metric", metric, measured)
    if direction is None:
        direction = direction_of(metric)
        if direction is None:
            raise ConfigError(
                f"direction: must be given as minimize or maximize, because the name {metric!r} does not show it"
            )
    if direction not in get_args(Direction):
        raise ConfigError(f"direction: must be minimize or maximize, got {direction!r}")
    return Objective(metric, cast("Direction", direction))


def choose_objectives(
    metrics: Iterable[str],
    metric: str | Sequence[str] | None = None,
    direction: str | Sequence[str] | None = None,
    *,
    losses_differ: bool = False,
) -> list[Objective]:
    """Returns the objectives that `sweep.objective` and `sweep.direction` choose; see `choose_objective`.

    Raises:
        UnknownNameError: a metric is not measured.
        ConfigError: the list is empty or has a metric twice, or there are not as many directions as objectives.
    """
    measured = list(metrics)
    names: list[str | None] = [metric] if metric is None or isinstance(metric, str) else list(metric)
    if not names or len(set(names)) < len(names):
        raise ConfigError.at("sweep.objective", "must name different metrics", metric)
    directions: list[str | None] = list(direction) if isinstance(direction, (list, tuple)) else [direction] * len(names)  # type: ignore[list-item]
    if len(directions) != len(names):
        raise ConfigError(f"sweep.direction: must be as many as the objectives, {len(names)}, got {len(directions)}")
    return [
        choose_objective(measured, name, way, losses_differ=losses_differ, key="sweep.objective")
        for name, way in zip(names, directions, strict=True)
    ]


def _default_metric(measured: Sequence[str], losses_differ: bool) -> str:
    """Returns the metric to rank by if the user names none: `val_loss`, unless the trials have different losses."""
    validation = [name for name in measured if name.startswith("val_")]
    others = [name for name in validation if name != "val_loss" and direction_of(name) is not None]
    training = [name for name in measured if not name.startswith(("val_", "test_"))]
    if losses_differ and others:
        return "val_accuracy" if "val_accuracy" in others else sorted(others)[0]
    for candidate in ("val_loss", *sorted(others), "loss", *sorted(training)):
        if candidate in measured and direction_of(candidate) is not None:
            return candidate
    return measured[0] if measured else "val_loss"


def kept_epoch(params: Mapping[str, Any], history: Mapping[str, Sequence[tuple[int, float]]]) -> int | None:
    """Returns the epoch whose weights a trial ended with.

    Early stopping with `restore_best_weights` restores the best epoch of the monitored metric. The final model and its
    test metrics are of that epoch, so the validation metrics must be too. Any other trial ends with the weights of its
    last epoch.

    Args:
        params: the flat config of the trial.
        history: metric -> points (epoch, value), ascending by epoch.

    Returns:
        The epoch, from 1; None for the last one.
    """
    for key, value in params.items():
        if not key.endswith(".restore_best_weights") or value is not True:
            continue
        node = key.rpartition(".")[0]
        monitor = params.get(f"{node}.monitor", "val_loss")
        mode = params.get(f"{node}.mode", "auto")
        direction = {"min": "minimize", "max": "maximize"}.get(str(mode)) or direction_of(str(monitor)) or "minimize"
        least = abs(_number(params.get(f"{node}.min_delta"), 0.0))
        start = _number(params.get(f"{node}.start_from_epoch"), 0.0)
        best: tuple[int, float] | None = None
        for epoch, found in history.get(str(monitor), ()):
            if epoch <= start or math.isnan(found):
                continue
            gain = math.inf if best is None else (best[1] - found if direction == "minimize" else found - best[1])
            if gain > least:
                best = (epoch, found)
        if best is not None:
            return best[0]
    return None


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) else default

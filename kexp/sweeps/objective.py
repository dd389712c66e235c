"""What a sweep is judged by: a metric, whether less or more of it is better, and at which epoch it counts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kexp.errors import ConfigError, UnknownNameError

__all__ = ["Direction", "Objective", "choose_objective", "choose_objectives", "direction_of", "kept_epoch"]

Direction = Literal["minimize", "maximize"]

# Parts of metric names, as words between underscores. The first list wins, because a name such as `false_negatives` or
# `precision_loss` holds words that alone would mislead.
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
        """Whether a is better than b."""
        return a < b if self.direction == "minimize" else a > b

    def rank_key(self, value: float) -> tuple[bool, float]:
        """Sorts the best first and NaN last."""
        lost = math.isnan(value)
        return lost, 0.0 if lost else (value if self.direction == "minimize" else -value)


def direction_of(metric: str) -> Direction | None:
    """Whether less or more of a metric is better, by its name; None where the name does not say.

    `val_`, `test_` and a trailing number (`auc_1`) mean nothing here.
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
    """The objective that a user asked for, or the usual one.

    Args:
        metrics: the metrics that there are.
        metric: the one asked for; None chooses `val_loss`, or another validation metric where trials have different
            losses, whose values cannot be set against each other; training metrics only where there is no validation.
            Where there is no metric at all, because every trial failed, any objective is taken.
        direction: minimize or maximize; None goes by the metric's name.
        losses_differ: whether the trials were trained with different losses.
        key: what to call the setting in messages.

    Raises:
        UnknownNameError: there is no such metric.
        ConfigError: the direction is neither, or is not known from the name.
    """
    known = list(metrics)
    if metric is None:
        metric = _usual(known, losses_differ)
    elif known and metric not in known:
        raise UnknownNameError(key, "metric", metric, known)
    if direction is None:
        direction = direction_of(metric)
        if direction is None:
            raise ConfigError(
                f"direction: must be given as minimize or maximize, because {metric!r} does not say by its name"
            )
    if direction == "minimize":
        return Objective(metric, "minimize")
    if direction == "maximize":
        return Objective(metric, "maximize")
    raise ConfigError(f"direction: must be minimize or maximize, got {direction!r}")


def choose_objectives(
    metrics: Iterable[str],
    metric: str | Sequence[str] | None = None,
    direction: str | Sequence[str] | None = None,
    *,
    losses_differ: bool = False,
    key: str = "objective",
) -> list[Objective]:
    """The objectives that a user asked for, one or several; see `choose_objective`.

    Raises:
        UnknownNameError: there is no such metric.
        ConfigError: a list is empty or names a metric twice; there are not as many directions as objectives.
    """
    known = list(metrics)
    names: list[str | None] = [metric] if metric is None or isinstance(metric, str) else list(metric)
    if not names or len(set(names)) < len(names):
        raise ConfigError.at(key, "must name different metrics", metric)
    directions: list[str | None] = list(direction) if isinstance(direction, (list, tuple)) else [direction] * len(names)  # type: ignore[list-item]
    if len(directions) != len(names):
        beside = key.replace("objective", "direction")
        raise ConfigError(f"{beside}: must be as many as the objectives, {len(names)}, got {len(directions)}")
    return [
        choose_objective(known, name, way, losses_differ=losses_differ, key=key)
        for name, way in zip(names, directions, strict=True)
    ]


def _usual(known: Sequence[str], losses_differ: bool) -> str:
    validation = [name for name in known if name.startswith("val_")]
    others = [name for name in validation if name != "val_loss" and direction_of(name) is not None]
    training = [name for name in known if not name.startswith(("val_", "test_"))]
    if losses_differ and others:
        return "val_accuracy" if "val_accuracy" in others else sorted(others)[0]
    for candidate in ("val_loss", *sorted(others), "loss", *sorted(training)):
        if candidate in known and direction_of(candidate) is not None:
            return candidate
    return known[0] if known else "val_loss"


def kept_epoch(params: Mapping[str, Any], history: Mapping[str, Sequence[tuple[int, float]]]) -> int | None:
    """The epoch whose weights a trial ended with, where that is not its last.

    Early stopping with `restore_best_weights` goes back to the best epoch of what it monitors; the trial's final
    model, and its test metrics, are of that epoch, so its validation metrics must be too. Everything else ends with
    the last epoch's weights.

    Args:
        params: flat config of the trial.
        history: metric -> (epoch, value) points, by epoch.

    Returns:
        The epoch; None for the last one.
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

"""The history of a training: the metrics of each epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

__all__ = ["History", "plain_numbers"]


def plain_numbers(measured: Mapping[str, Any]) -> dict[str, float]:
    """Converts metrics to floats.

    Args:
        measured: metric -> a scalar, a vector, such as one score for each class, or a dict of these.

    Returns:
        Metric -> float; a vector NAME becomes NAME_0, NAME_1, ...; a dict's members keep their own names.
    """
    found: dict[str, float] = {}
    for key, value in measured.items():
        if isinstance(value, Mapping):
            found |= plain_numbers(value)
        elif len(getattr(value, "shape", ())):
            found |= {f"{key}_{place}": float(each) for place, each in enumerate(value)}
        else:
            found[key] = float(value)
    return found


@dataclass
class History:
    """The metrics of each epoch, counted from 1.

    Attributes:
        epochs: for each epoch its number and its metrics (`loss`, `val_loss`, ...).
        duration_s: seconds spent in fit, including those before a resume.
        stopped: why training ended before its last epoch; empty if it did not.
        resumed_from: the last epoch that came from a checkpoint; 0 if training started from the beginning.
        best_epoch: the epoch of the model's final weights if a callback restored the best ones; else None.
        notices: messages for the user: a damaged checkpoint, state that could not be saved, Keras' own warnings.
    """

    epochs: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    duration_s: float = 0.0
    stopped: str = ""
    resumed_from: int = 0
    best_epoch: int | None = None
    notices: list[str] = field(default_factory=list)

    def add(self, epoch: int, logs: Mapping[str, Any]) -> dict[str, float]:
        """Appends the metrics of one epoch and returns them as floats, losses first and validation last."""
        ordered = sorted(logs, key=lambda key: (key.startswith("val_"), not key.endswith("loss")))
        metrics = plain_numbers({key: logs[key] for key in ordered})
        self.epochs.append((epoch, metrics))
        return metrics

    def notice(self, text: str) -> None:
        """Appends a notice unless it is there already."""
        if text not in self.notices:
            self.notices.append(text)

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def last(self) -> dict[str, float]:
        """The metrics of the last epoch; empty before the first epoch."""
        return self.epochs[-1][1] if self.epochs else {}

    def columns(self) -> dict[str, list[float]]:
        """Returns metric -> its value in each epoch, NaN for epochs that did not measure it."""
        keys = dict.fromkeys(key for _, metrics in self.epochs for key in metrics)
        return {key: [metrics.get(key, math.nan) for _, metrics in self.epochs] for key in keys}

    def frame(self) -> pandas.DataFrame:
        """Returns a DataFrame with one row per epoch, indexed by the epoch's number."""
        import pandas

        index = pandas.Index([epoch for epoch, _ in self.epochs], name="epoch")
        return pandas.DataFrame(self.columns(), index=index)

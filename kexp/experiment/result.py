"""What a finished run hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.notebook import table
from kexp.schema import Experiment
from kexp.training import History

if TYPE_CHECKING:
    import keras

__all__ = ["Result"]


@dataclass
class Result:
    """A finished run.

    Attributes:
        run_id: MLflow's id; a local one with `tracking=none`.
        name: the run's name.
        folder: where its files are.
        history: metrics by epoch.
        metrics: the final ones: the last epoch's, and the test's as `test_...`.
        model: the trained model, compiled.
        experiment: the settled config.
        fingerprint: what makes another run the same.
        notice: what the user should know about delivery to the store; usually empty.
        duration_s: seconds from start to end.
        model_waits: whether a model that was to be kept waits on disk, as the store is away.
    """

    run_id: str
    name: str
    folder: Path
    history: History = field(repr=False)
    metrics: dict[str, float]
    model: keras.Model = field(repr=False)
    experiment: Experiment = field(repr=False)
    fingerprint: str
    notice: str = ""
    duration_s: float = 0.0
    saved: list[Path] = field(default_factory=list)
    model_waits: bool = False

    def _repr_html_(self) -> str:
        told = [
            ("run", self.name),
            ("run id", self.run_id),
            ("files", str(self.folder)),
            ("stopped", self.history.stopped),
        ]
        measured = [(name, f"{value:.4g}") for name, value in self.metrics.items()]
        return table(("", "epoch " + str(len(self.history))), [*measured, *(each for each in told if each[1])])

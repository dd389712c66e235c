"""The result of a finished run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.schema import Experiment
from kexp.system.notebook import table
from kexp.training import History

if TYPE_CHECKING:
    import keras

__all__ = ["Result"]


@dataclass
class Result:
    """A finished run.

    Attributes:
        run_id: MLflow's run id; a local id with `tracking=none`.
        name: the run's name.
        folder: the folder of its files.
        history: metrics by epoch.
        metrics: the final metrics: those of the last epoch, and those on the test rows as `test_...`.
        model: the trained model, compiled.
        experiment: the config, with everything chosen that it left to the data.
        fingerprint: equal for equal experiments.
        notice: a message on delivery to the store; usually empty.
        duration_s: seconds from start to end.
        saved: the files of the saved model.
        rows_wait: the number of rows that wait on disk for `kexp sync`, and of models that the store refused.
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
    rows_wait: int = 0

    def _repr_html_(self) -> str:
        rows = [
            ("run", self.name),
            ("run id", self.run_id),
            ("files", str(self.folder)),
            ("stopped", self.history.stopped),
        ]
        measured = [(name, f"{value:.4g}") for name, value in self.metrics.items()]
        return table(("", "epoch " + str(len(self.history))), [*measured, *(each for each in rows if each[1])])

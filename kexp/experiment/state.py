"""The trained variables of a trial, kept on disk until the sweep decides whether to save its model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.system.disk import needing
from kexp.system.whole_files import whole_file

if TYPE_CHECKING:
    import keras

    from kexp.experiment.prepared import Prepared
    from kexp.tracking.record.tracker import LastPoints
    from kexp.training import History

__all__ = ["TrainedState", "write_trained_state"]


@dataclass(frozen=True)
class TrainedState:
    """The variables of a trained model, as NumPy arrays.

    Attributes:
        trainable: in the order of `model.trainable_variables`.
        non_trainable: in the order of `model.non_trainable_variables`, which include the seeds of dropout.
        optimizer: in the order of `model.optimizer.variables`.
    """

    trainable: list[Any]
    non_trainable: list[Any]
    optimizer: list[Any]

    @classmethod
    def of(cls, model: keras.Model) -> TrainedState:
        """Copies the variables of a trained model."""
        import numpy as np

        groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
        return cls(*([np.asarray(variable) for variable in group] for group in groups))

    def assign_to(self, model: keras.Model) -> None:
        """Sets the variables of a model and its optimizer."""
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        groups = (
            (model.trainable_variables, self.trainable),
            (model.non_trainable_variables, self.non_trainable),
            (model.optimizer.variables, self.optimizer),
        )
        for variables, values in groups:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def write(self, file: Path, about: dict[str, Any]) -> None:
        """Writes the variables to a file, atomically.

        Args:
            file: the file; its folder is created.
            about: further content, which must be valid JSON.
        """
        import numpy as np

        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {
            f"{group}{i}": value
            for group in ("trainable", "non_trainable", "optimizer")
            for i, value in enumerate(getattr(self, group))
        }
        size = sum(each.nbytes for each in arrays.values())
        with needing(size), whole_file(file) as fresh, open(fresh, "wb") as out:
            np.savez(out, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)

    @classmethod
    def read(cls, file: Path) -> tuple[TrainedState, dict[str, Any]]:
        """Reads a file that `write` wrote. Returns the variables and the further content."""
        import numpy as np

        with np.load(file) as stored:
            about: dict[str, Any] = json.loads(stored["about"].tobytes())
            groups = []
            for group in ("trainable", "non_trainable", "optimizer"):
                names = [name for name in stored.files if name.rstrip("0123456789") == group]
                groups.append([stored[f"{group}{i}"] for i in range(len(names))])
        return cls(*groups), about


def write_trained_state(
    file: Path, prepared: Prepared, state: TrainedState, history: History, points: LastPoints
) -> None:
    """Writes the file from which `save_kept` saves the model later.

    Args:
        file: the file to write.
        prepared: the experiment.
        state: the trained variables.
        history: the history of the training.
        points: the last value of each metric of the run, which the MLflow model is linked to.
    """
    experiment = prepared.experiment
    about = {"backend": experiment.backend, "engine": experiment.trainer.engine, "epochs": history.epochs}
    state.write(file, {**about, "points": dict(points)})

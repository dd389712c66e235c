"""The variables of a finished training, on disk until it is known whether its model is kept."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from kexp.experiment.prepared import Prepared
    from kexp.tracking.tracker import LastPoints
    from kexp.training import History

__all__ = ["TrainedState", "leave_state"]


@dataclass(frozen=True)
class TrainedState:
    """The variables of one training, as NumPy arrays.

    Attributes:
        trainable: in the order of `model.trainable_variables`.
        non_trainable: in the order of `model.non_trainable_variables`; dropout's seeds are among them.
        optimizer: in the order of `model.optimizer.variables`.
    """

    trainable: list[Any]
    non_trainable: list[Any]
    optimizer: list[Any]

    @classmethod
    def of(cls, model: keras.Model) -> TrainedState:
        """A trained model's."""
        import numpy as np

        groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
        return cls(*([np.asarray(variable) for variable in group] for group in groups))

    def put_into(self, model: keras.Model) -> None:
        """Sets a model's variables, its optimizer's too."""
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
        """Writes it whole or not at all.

        Args:
            file: the file's name; its folder is made.
            about: what else to keep, as JSON can.
        """
        import numpy as np

        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {
            f"{group}{i}": value
            for group in ("trainable", "non_trainable", "optimizer")
            for i, value in enumerate(getattr(self, group))
        }
        beside = file.with_suffix(f".{os.getpid()}.part")
        with open(beside, "wb") as out:
            np.savez(out, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
        beside.replace(file)

    @classmethod
    def read(cls, file: Path) -> tuple[TrainedState, dict[str, Any]]:
        """What `write` wrote."""
        import numpy as np

        with np.load(file) as stored:
            about: dict[str, Any] = json.loads(stored["about"].tobytes())
            groups = []
            for group in ("trainable", "non_trainable", "optimizer"):
                names = [name for name in stored.files if name.rstrip("0123456789") == group]
                groups.append([stored[f"{group}{i}"] for i in range(len(names))])
        return cls(*groups), about


def leave_state(file: Path, prepared: Prepared, state: TrainedState, history: History, points: LastPoints) -> None:
    """Writes what `save_kept` takes to save the model later.

    Args:
        file: its place.
        prepared: the experiment.
        state: the trained variables.
        history: of the training.
        points: the last value of each metric of the run, to which the model is linked.
    """
    experiment = prepared.experiment
    about = {"backend": experiment.backend, "engine": experiment.trainer.engine, "epochs": history.epochs}
    state.write(file, {**about, "points": dict(points)})

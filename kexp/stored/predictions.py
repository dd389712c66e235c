"""What a stored run's outputs say: classes by name with their probabilities, or numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kexp.errors import LoadError
from kexp.experiment import outputs_of
from kexp.schema import Experiment
from kexp.serving.outputs import Outputs
from kexp.stored.description import Description

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Reading"]


class Reading(Outputs):
    """How a run's outputs are read and written to files: as its MLflow model names them, a regression's as predictions.

    Attributes are those of `Outputs`.
    """

    @classmethod
    def of(cls, experiment: Experiment, known: Description) -> Reading:
        """The reading for a settled experiment and its data."""
        targets = known.target_names or (known.encoding or {}).get("target", ())
        found = outputs_of(experiment, known.task, known.classes, targets, known.positions)
        return cls(**vars(found))

    def columns(self, predicted: NDArray[Any], prefix: str = "prediction") -> dict[str, NDArray[Any]]:
        """See `Outputs.columns`; for a regression `prediction`, or `prediction_NAME` for each of several targets.

        Raises:
            LoadError: there are classes at several positions of a row, which no table holds.
        """
        if self.positions and self.classes is not None and self.task != "labels":
            raise LoadError(
                f"OUTPUT: must end in .npz, for each row has a class at each of {self.positions}, which no table holds"
            )
        return super().columns(predicted, prefix)

    def decided(self, predicted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Outputs.decided`.

        Raises:
            LoadError: the outputs do not tell the classes apart.
        """
        try:
            return super().decided(predicted)
        except ValueError as error:
            raise LoadError(str(error)) from None

"""Interpret the outputs of a stored run's model: classes with their probabilities, or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kexp.errors import LoadError
from kexp.experiment import formats_for_serving, outputs_of, rows_of
from kexp.schema import Experiment
from kexp.serving.outputs import Outputs
from kexp.stored.description import Description

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Reading", "serving_formats"]


def serving_formats(
    formats: Mapping[str, Any], experiment: Experiment, known: Description
) -> tuple[dict[str, Any], list[str]]:
    """Formats by name, where they can for models that take the run's raw rows, and what there is to tell of these."""
    rows = rows_of(experiment.data.name, known.encoding or {}, known.feature_shape, known.feature_names)
    return formats_for_serving(formats, rows, Reading.of(experiment, known))


class Reading(Outputs):
    """Names outputs in files as the run's MLflow model does.

    The attributes are those of `Outputs`.
    """

    @classmethod
    def of(cls, experiment: Experiment, known: Description) -> Reading:
        """Returns the reading for an experiment, whose loss is chosen, and its data."""
        targets = known.target_names or (known.encoding or {}).get("target", ())
        found = outputs_of(experiment, known.task, known.classes, targets, known.positions)
        return cls(**vars(found))

    def columns(self, predicted: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Returns columns as `Outputs.columns`.

        Raises:
            LoadError: a row has classes at several positions, which a table cannot hold.
        """
        if self.positions and self.classes is not None and self.task != "labels":
            raise LoadError(f"OUTPUT: must end in .npz, because each row has classes at {self.positions} positions")
        return super().columns(predicted)

    def decided(self, predicted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Outputs.decided`.

        Raises:
            LoadError: the outputs do not decide between the classes.
        """
        try:
            return super().decided(predicted)
        except ValueError as error:
            raise LoadError(str(error)) from None

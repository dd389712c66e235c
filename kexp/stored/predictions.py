"""Interprets the outputs of a stored run's model: classes with their probabilities, or numbers."""

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

__all__ = ["NamedOutputs", "serving_formats"]


def serving_formats(
    formats: Mapping[str, Any], experiment: Experiment, run_data: Description
) -> tuple[dict[str, Any], list[str]]:
    """Configures the formats that can store a model of the run's raw rows.

    Args:
        formats: name -> format.
        experiment: the run's config, whose loss is chosen.
        run_data: the description of the run's data.

    Returns:
        The formats, and their notices for the user.
    """
    rows = rows_of(experiment.data.name, run_data.encoding or {}, run_data.feature_shape, run_data.feature_names)
    return formats_for_serving(formats, rows, NamedOutputs.of(experiment, run_data))


class NamedOutputs(Outputs):
    """Names a model's outputs as the run's MLflow model does, with errors for `kexp predict`.

    The attributes are those of `Outputs`.
    """

    @classmethod
    def of(cls, experiment: Experiment, run_data: Description) -> NamedOutputs:
        """Returns the names for an experiment, whose loss is chosen, and its data."""
        targets = run_data.target_names or (run_data.encoding or {}).get("target", ())
        found = outputs_of(experiment, run_data.task, run_data.classes, targets, run_data.positions)
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

"""What a run in progress can be told: the seam between an experiment and whatever keeps its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import keras
    import numpy as np

    from kexp.tracking.store.model_registry import Registration

__all__ = ["LastPoints", "Served", "Status", "Tracker"]

Status = Literal["FINISHED", "FAILED", "KILLED"]
LastPoints = Mapping[str, tuple[float, int, int]]
"""Metric -> value, step and time in ms of its last point."""


@dataclass(frozen=True)
class Served:
    """How an MLflow model takes raw rows and names its answers.

    Attributes:
        kept: what `kexp.serving` reads beside the Keras file, as plain JSON.
        inputs: the signature's, as MLflow writes it.
        outputs: the signature's.
        example: rows to send: `{"columns": [...], "data": [[...]]}`, or nested lists of an array; None for none.
        code: modules of the user's own that the model takes, by their paths inside the model's code.
        requirements: what it takes besides Keras, NumPy, pandas and the backend.
    """

    kept: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Any]]
    outputs: Sequence[Mapping[str, Any]]
    example: Any = None
    code: Mapping[str, Path] = field(default_factory=dict)
    requirements: Sequence[str] = ()


class Tracker(Protocol):
    """A run in progress. Nothing but `end` waits for the store; everything may be called from any thread.

    Attributes:
        run_id: MLflow's id of the run.
        name: its name, as MLflow shows it.
        folder: where the run keeps its files.
        notice: after `end`, a sentence for the user where something could not be delivered; else empty.
        undelivered: after `end`, how many rows the store did not take, which wait on disk, and models that it refused.
        hurries: whether `end` is not to wait for a store that is away.
        model_id: after `end`, MLflow's id of the last logged model, where there is one and the store has it.
        last_points: of the metrics that it was told.
    """

    run_id: str
    name: str
    folder: Path
    notice: str
    undelivered: int
    hurries: bool
    model_id: str | None

    @property
    def last_points(self) -> LastPoints:
        """See above."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Records parameters (`flatten` makes them). A value over 6,000 characters goes to `params/KEY.txt`."""

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        """Records one point of each metric. `step` counts epochs from 1."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Records tags; a later value replaces an earlier one."""

    def log_text(self, text: str, path: str) -> None:
        """Records a text as the artifact `path`, for example `config.yaml`."""

    def log_file(self, file: Path, folder: str = "") -> None:
        """Records a file, or a whole folder, as an artifact below the artifact folder `folder` ("" is the top)."""

    def log_figure(self, drawing: str, arrays: Mapping[str, np.ndarray] | None = None, **options: Any) -> None:
        """Draws a figure of `kexp.tracking.record.figures` and records it as `figures/DRAWING.png`.

        Args:
            drawing: the function's name.
            arrays: its arguments that are arrays.
            options: its other arguments, plain values that JSON can keep.
        """

    def log_dataset(
        self,
        *,
        name: str,
        digest: str,
        context: str,
        source: str = "",
        source_type: str = "code",
        schema: Any = None,
        profile: Any = None,
    ) -> None:
        """Records data that the run read: `context` is train, validation or test, `digest` has up to 36 characters."""

    def log_keras_model(
        self,
        model: keras.Model,
        x: np.ndarray,
        y_pred: np.ndarray,
        *,
        name: str = "model",
        register: Registration | None = None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        datasets: Mapping[str, tuple[str, str]] | None = None,
        step: int = 0,
        served: Served | None = None,
    ) -> None:
        """Records `model` as an MLflow LoggedModel of this run, loadable by `mlflow.keras.load_model`.

        Args:
            model: a built Keras model.
            x: a few inputs, shape (samples, ...); with `y_pred` they make the signature.
            y_pred: the model's predictions of `x`, shape (samples, ...).
            name: the logged model's name.
            register: how the model is to stand in MLflow's model registry; None for not at all.
            params: what MLflow shows as the model's parameters.
            metrics: the metrics that belong to this model; None means the last value of each that the run has logged.
            datasets: beginning of metrics' names -> name and digest of the data set that these are measured on.
            step: the epoch that the model comes from.
            served: how `mlflow.pyfunc.load_model` and servers have it take raw rows; as Keras takes them unless given.
        """

    def end(self, status: Status, reason: str = "") -> None:
        """Ends the run, and waits for its last rows to reach the store; for one that is away, not for ever. A second
        call does nothing."""

"""The tracker of a run in progress: turns what an experiment logs into rows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kexp.errors import ConfigError, StoreError
from kexp.tracking.record.rows import Row, artifact_path, dataset_row, metric_row, param_row, tag_row

if TYPE_CHECKING:
    import keras
    import numpy as np

    from kexp.tracking.store.model_registry import Registration

__all__ = ["LastPoints", "ServingFiles", "Status", "Tracker", "now_ms", "null_run", "reason_tags"]

Status = Literal["FINISHED", "FAILED", "KILLED"]
LastPoints = Mapping[str, tuple[float, int, int]]
"""Metric -> value, step and time in ms of its last point."""


@dataclass(frozen=True)
class ServingFiles:
    """The files and the description with which an MLflow model encodes raw rows and names its outputs.

    Attributes:
        contract: the content of `serving.json`, which `kexp.serving` reads.
        inputs: the inputs of MLflow's signature.
        outputs: the outputs of MLflow's signature.
        example: example rows: `{"columns": [...], "data": [[...]]}`, or nested lists of an array; None for none.
        code: path inside the model's code -> file, for the user's modules that the model needs.
        requirements: packages besides Keras, NumPy, pandas and the backend.
    """

    contract: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Any]]
    outputs: Sequence[Mapping[str, Any]]
    example: Any = None
    code: Mapping[str, Path] = field(default_factory=dict)
    requirements: Sequence[str] = ()


class Tracker:
    """A run in progress. Only `end` waits for the store. All methods may be called from any thread.

    This class checks what is logged and turns it into rows, which `put` collects in memory. It ignores figures and
    models. Subclasses write the rows to disk, draw figures, save models and end the run.

    Args:
        run_id: MLflow's id of the run.
        name: the run's name.
        folder: the folder of the run's files.

    Attributes:
        run_id, name, folder: as above.
        notice: after `end`, a sentence for the user if something could not be delivered; else empty.
        undelivered: after `end`, the number of rows that wait on disk, and of models that the store refused.
        skips_wait: whether `end` must not wait for a store that is away.
        model_id: after `end`, MLflow's id of the last logged model, if the store has it.
        last_points: the last point of each metric.
        rows: the rows, unless a subclass keeps them elsewhere.
    """

    def __init__(self, run_id: str, name: str, folder: Path) -> None:
        self.run_id, self.name, self.folder = run_id, name, folder
        self.notice = ""
        self.undelivered = 0
        self.skips_wait = False
        self.model_id: str | None = None
        self.last_points: dict[str, tuple[float, int, int]] = {}
        self.rows: list[Row] = []
        self._params: dict[str, str] = {}
        self._infinite: dict[str, str] = {}
        self._datasets: dict[tuple[str, str], str] = {}

    def put(self, row: Row) -> None:
        """Keeps a row."""
        self.rows.append(row)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Records parameters (`flatten` makes them). A value over 6,000 characters goes to `params/KEY.txt`.

        Raises:
            ConfigError: a parameter was recorded before with another value.
        """
        row, long = param_row(params)
        for key, text in row["params"].items():
            if self._params.setdefault(key, text) != text:
                raise ConfigError.at(key, f"a parameter of a run cannot change from {self._params[key]!r}", text)
        if long:
            row["texts"] = {f"params/{key}.txt": text for key, text in long.items()}
        self.put(row)

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        """Records one point of each metric.

        Args:
            metrics: metric -> value.
            step: the epoch, from 1.
            timestamp_ms: the time of the points, in milliseconds since 1970; the current time unless given.
        """
        row, infinite = metric_row(metrics, int(step), now_ms() if timestamp_ms is None else int(timestamp_ms))
        for key, value, at, stamp in row["metrics"]:
            self.last_points[key] = (value, at, stamp)
        if infinite:
            for key in infinite:
                self._infinite.setdefault(key, f"{key} at step {step}")
            row |= tag_row({"kexp.infinite": ", ".join(self._infinite.values())})
        self.put(row)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Records tags; a later value replaces an earlier one."""
        self.put(tag_row(tags))

    def log_text(self, text: str, path: str) -> None:
        """Records a text as the artifact `path`, for example `config.yaml`."""
        self.put({"texts": {str(artifact_path(path)): text}})

    def log_file(self, file: Path, folder: str = "") -> None:
        """Records a file, or a whole folder, as an artifact below the artifact folder `folder` ("" is the top).

        Raises:
            StoreError: the file does not exist.
        """
        if not file.exists():
            raise StoreError(f"{file}: there is no such file to record as an artifact")
        inside = str(artifact_path(folder)) if folder else ""
        self.put({"files": [[self.keep_file(file, inside), inside]]})

    def keep_file(self, file: Path, folder: str) -> str:
        """Makes sure that a file exists until it is delivered, and returns its path for the row."""
        return str(file.absolute())

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
        """Records a data set that the run read.

        Args:
            name: the data set's name.
            digest: the digest of its rows, 1 to 36 characters.
            context: train, validation or test.
            source: where it comes from; text, or JSON in MLflow's form.
            source_type: MLflow's type of the source: code, local, http, ...
            schema: its schema in MLflow's form; text, or plain data.
            profile: its profile in MLflow's form, such as the number of rows; text, or plain data.
        """
        # MLflow keeps one input of a run for each name and digest, and would drop the second context of the same data.
        if self._datasets.setdefault((name, digest), context) != context:
            name = f"{name} ({context})"
        self.put(
            dataset_row(name, digest, context, source=source, source_type=source_type, schema=schema, profile=profile)
        )

    def log_keras_model(
        self,
        model: keras.Model,
        x: np.ndarray,
        y_pred: np.ndarray,
        *,
        register: Registration | None = None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        datasets: Mapping[str, tuple[str, str]] | None = None,
        step: int = 0,
        served: ServingFiles | None = None,
    ) -> None:
        """Records `model` as an MLflow LoggedModel of this run, loadable by `mlflow.keras.load_model`.

        Args:
            model: a built Keras model.
            x: a few inputs, shape (samples, ...); with `y_pred` they make the signature.
            y_pred: the model's predictions of `x`, shape (samples, ...).
            register: the version to create in MLflow's model registry; None for none.
            params: what MLflow shows as the model's parameters.
            metrics: the metrics that belong to this model; None means the last value of each that the run has logged.
            datasets: beginning of metrics' names -> name and digest of the data set that they are measured on.
            step: the epoch that the model comes from.
            served: the files with which `mlflow.pyfunc` and servers encode raw rows; None for a model of encoded rows.
        """

    def end(self, status: Status, reason: str = "") -> None:
        """Ends the run and waits until its last rows are delivered, for a limited time. A second call does nothing."""


class _Untracked(Tracker):
    def put(self, row: Row) -> None:
        pass


def null_run(*, name: str | None, folder: Path) -> Tracker:
    """Returns a tracker that accepts every call and records nothing, for `tracking=none`.

    Args:
        name: the run's name; `untracked` unless given.
        folder: the folder of the run's files.
    """
    return _Untracked(uuid.uuid4().hex, name or "untracked", folder)


def reason_tags(reason: str) -> dict[str, str]:
    """Returns the tag with the reason why a run ended; no tag if there is no reason."""
    return {"kexp.reason": " ".join(reason.split())[:500]} if reason else {}


def now_ms() -> int:
    """Returns the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000

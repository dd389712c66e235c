"""Saves a run's model: in files, each read back and compared, and as an MLflow model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.experiment.logging.lineage import data_of_metrics
from kexp.experiment.logging.recording import run_parameters, run_tags
from kexp.experiment.logging.serving import serving_files
from kexp.experiment.logging.usable_formats import UsableFormats, reload_options
from kexp.experiment.prepared import Prepared
from kexp.schema.run_names import run_name
from kexp.tracking import Registration, Tracker, registration
from kexp.training import History

if TYPE_CHECKING:
    import keras

__all__ = ["record_model", "save_files"]

_PROBE_ROWS = 32  # rows on which a saved model is compared with the original


def record_model(
    tracker: Tracker,
    prepared: Prepared,
    history: History,
    model: keras.Model,
    usable: UsableFormats,
    tested: Mapping[str, float] | None = None,
) -> None:
    """Logs the model as an MLflow model, and registers it if `save.register` is set.

    Does nothing if `save.model` is off, or if an MLflow model cannot store the model.

    Args:
        tracker: the run.
        prepared: the experiment.
        history: the metrics of its training; the model is linked to those of the last epoch.
        model: the trained model.
        usable: the formats that can store the model.
        tested: the test metrics, for the description in the registry.
    """
    from kexp.persistence import tensorflow_not_needed

    save = prepared.experiment.save
    if not (save.model and usable.mlflow):
        return
    part = prepared.splits.held_out
    x = part.batch(_first_rows(len(part), model))[0]
    last = history.epochs[-1][0] if len(history) else 0
    with tensorflow_not_needed():
        y = _predict(model, x)
        tracker.log_keras_model(
            model,
            x,
            y,
            datasets=data_of_metrics(prepared),
            register=_registration(tracker, prepared, {**history.last, **(tested or {})}),
            step=last,
            params=run_parameters(prepared.experiment.as_dict()),
            served=serving_files(prepared, model, math.prod(y.shape[1:])),
        )


def _registration(tracker: Tracker, prepared: Prepared, metrics: Mapping[str, float]) -> Registration | None:
    save, config = prepared.experiment.save, prepared.experiment.as_dict()
    if save.register is None:
        return None
    return registration(
        save.register,
        save.alias,
        run=run_name(config) or tracker.name,
        params=run_parameters(config),
        metrics=metrics,
        tags=run_tags(prepared, tracker.folder),
    )


def save_files(tracker: Tracker, prepared: Prepared, model: keras.Model, usable: UsableFormats) -> list[Path]:
    """Saves the model in each usable format, loads and compares it, and logs the files as artifacts.

    Raises:
        SaveError: a file does not load identically.
    """
    from kexp.persistence import save_model

    if not usable.formats:
        return []
    train = prepared.splits.train
    probe = train.batch(_first_rows(len(train), model))[0]
    saved = save_model(model, tracker.folder / "saved", usable.formats, probe, **reload_options(prepared, model))
    tracker.log_file(tracker.folder / "saved")
    return saved


def _first_rows(available: int, model: keras.Model) -> Any:
    """Returns the indices of the first rows: as many as the model's Input fixes, or else at most `_PROBE_ROWS`."""
    import numpy as np

    size = model.inputs[0].shape[0] if getattr(model, "inputs", None) else None
    return np.arange(size or min(_PROBE_ROWS, available), dtype=np.intp)


def _predict(model: keras.Model, x: Any) -> Any:
    import keras

    return keras.ops.convert_to_numpy(model(x, training=False))

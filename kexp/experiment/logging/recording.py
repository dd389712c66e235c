"""Record a run's parameters, config, data sets, figures and models."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp import training
from kexp.config import key_of
from kexp.experiment.logging.epoch_metrics import log_size
from kexp.experiment.logging.lineage import data_of_metrics, record_data
from kexp.experiment.logging.note import NOTE, note_of, outcome_of
from kexp.experiment.logging.served import served
from kexp.experiment.logging.usable_formats import UsableFormats, reload_options
from kexp.experiment.own_files import own_sources
from kexp.experiment.prepared import Prepared, feeds
from kexp.schema import AUTO, Taken, Tracking
from kexp.schema.run_names import run_name
from kexp.system.notebook import hide_displays
from kexp.tracking import Registration, Tracker, flatten, registration
from kexp.training import History

if TYPE_CHECKING:
    import keras

    from kexp.data import Splits

__all__ = [
    "Source",
    "described",
    "own_tags",
    "record_figures",
    "record_model",
    "record_outcome",
    "record_setup",
    "run_tags",
    "save_files",
    "summary_of",
]

PROBE_ROWS = 32  # rows on which a saved model is compared with the original


@dataclass(frozen=True)
class Source:
    """The user's input, recorded with the run.

    Attributes:
        overrides: the overrides of the command line.
        yaml: the composed config with interpolations unresolved, so that it contains no secret.
        command: what the user wrote to start the run, for its description; empty for none.
    """

    overrides: tuple[str, ...] = ()
    yaml: str = ""
    command: str = ""


def run_tags(prepared: Prepared, folder: Path, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the tags of a run: kexp's own, those of the config, and `more`."""
    from kexp._version import __version__

    return {
        "kexp.fingerprint": prepared.fingerprint,
        "kexp.version": __version__,
        "kexp.folder": str(folder.resolve()),
        **({"kexp.begins_with": prepared.earlier.run_id} if prepared.earlier else {}),
        **own_tags(prepared.experiment.tracking),
        **(more or {}),
    }


def own_tags(tracking: Tracking) -> dict[str, Any]:
    """Return the tags that the config sets, including the description, which MLflow stores as a tag."""
    note = {} if tracking.description is None else {NOTE: tracking.description}
    return {**{str(key): value for key, value in (tracking.tags or {}).items()}, **note}


def summary_of(model: keras.Model) -> str:
    """Return Keras' table of the model's layers."""
    lines: list[str] = []
    with hide_displays():  # Keras also displays the table in a notebook
        model.summary(print_fn=lambda text, **_: lines.append(text), line_length=100)
    return "\n".join(lines)


def run_parameters(config: Mapping[str, Any], overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Flatten a config to a run's parameters, without the settings of tracking and sweeps and without null values.

    Args:
        config: the whole plain config.
        overrides: the user's overrides; a null that the user set is kept.
    """
    written = {key_of(each) for each in overrides}
    flat = flatten({key: value for key, value in config.items() if key not in ("tracking", "sweep", "fused")})
    return {key: value for key, value in flat.items() if value not in (None, {}) or key in written}


def record_setup(
    tracker: Tracker,
    prepared: Prepared,
    source: Source,
    summary: str,
    size: Mapping[str, int],
    ran_on: Mapping[str, Any] | None = None,
) -> None:
    """Record what exists before the first epoch: parameters, config, data sets, code and environment.

    Args:
        tracker: the run's tracker.
        prepared: the experiment.
        source: the user's input.
        summary: the summary of the model, as `summary_of` returns it.
        size: the size of the model, as `size_of` returns it.
        ran_on: the environment, if a sweep has already called `tracking.environment`.
    """
    import json

    from kexp.tracking import environment

    experiment, splits = prepared.experiment, prepared.splits
    config = experiment.as_dict()
    tracker.log_params(run_parameters(config, source.overrides))
    tracker.log_text(_with_taken(source.yaml, prepared) or _yaml(config), "config.yaml")
    tracker.log_text("\n".join(source.overrides) + "\n", "overrides.txt")
    tracker.log_text(summary, "model_summary.txt")
    log_size(tracker, prepared, size)
    if source.command:
        tracker.set_tags({NOTE: note_of(prepared, size, source.command)})
    tracker.log_text(json.dumps(ran_on or environment(), indent=2), "environment.json")
    tracker.log_text(json.dumps(described(splits), indent=2), "data.json")
    for name, file in own_sources(experiment).items():
        tracker.log_text(file.read_text(encoding="utf-8", errors="replace"), f"code/{name}")
    if splits.encoding:
        tracker.log_text(json.dumps(splits.encoding, indent=2), "data_encoding.json")
    record_data(tracker, prepared)


def _with_taken(text: str, prepared: Prepared) -> str:
    """Write into the config what the model's own code compiled, and the earlier run that the model starts from."""
    import yaml

    experiment, taken = prepared.experiment, prepared.taken
    if not text or (taken == Taken() and prepared.earlier is None):
        return text
    written = yaml.safe_load(text)
    if prepared.earlier is not None:  # the run id instead of `latest`, and whether the output is new
        written["model"] = experiment.model.as_dict()
    if experiment.optimizer_of_model:
        written["optimizer"] = experiment.optimizer.as_dict()
    if experiment.loss is not None and taken.loss is not None and written["loss"].get("name") == AUTO:
        written["loss"] = experiment.loss.as_dict()
    if taken.metrics and AUTO in written["metrics"]:
        written["metrics"] = {key: node.as_dict() for key, node in experiment.metrics.items()}
    return _yaml(written)


def described(splits: Splits) -> dict[str, Any]:
    """Describe the data, so that the model can be used later without it."""
    spec = splits.spec
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "digest": splits.data.digest,
        "rows": {name: len(part) for name, part in parts.items() if part is not None},
        "feature_shape": list(spec.feature_shape),
        "feature_names": None if spec.feature_names is None else list(spec.feature_names),
        "task": spec.task,
        "outputs": spec.outputs,
        "positions": list(spec.positions),
        "target_names": None if spec.target_names is None else list(spec.target_names),
        "weighted": splits.data.weights is not None,
        "classes": None if spec.classes is None else list(spec.classes),
    }


def record_outcome(
    tracker: Tracker,
    prepared: Prepared,
    source: Source,
    size: Mapping[str, int],
    history: History,
    tested: Mapping[str, float],
    started: float,
) -> None:
    """Record the duration of a run, the reason if it ended early, and its result in its description.

    Args:
        tracker: the run's tracker.
        prepared: the experiment.
        source: the user's input.
        size: the size of the model, as `size_of` returns it.
        history: the history of the training.
        tested: the metrics on the test rows.
        started: when the run started, as `time.perf_counter` counts.
    """
    duration_s = time.perf_counter() - started
    tracker.set_tags({"kexp.duration_s": f"{duration_s:.3f}"})
    if history.stopped:
        tracker.set_tags({"kexp.stopped": history.stopped})
    if source.command:
        tracker.set_tags({NOTE: note_of(prepared, size, source.command, outcome_of(history, tested, duration_s))})


def record_model(
    tracker: Tracker,
    prepared: Prepared,
    history: History,
    model: keras.Model,
    usable: UsableFormats,
    tested: Mapping[str, float] | None = None,
) -> None:
    """Log the MLflow model, if it can store the model: linked to the last metrics, and registered if configured."""
    from kexp.persistence import tensorflow_not_needed

    save = prepared.experiment.save
    if not (save.model and usable.mlflow):
        return
    part = prepared.splits.test or prepared.splits.validation or prepared.splits.train
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
            served=served(prepared, model, math.prod(y.shape[1:])),
        )


def _registration(tracker: Tracker, prepared: Prepared, metrics: Mapping[str, float]) -> Registration | None:
    save = prepared.experiment.save
    if save.register is None:
        return None
    return registration(
        save.register,
        save.alias,
        run=run_name(prepared.experiment.as_dict()) or tracker.name,
        params=run_parameters(prepared.experiment.as_dict()),
        metrics=metrics,
        tags=run_tags(prepared, tracker.folder),
    )


def record_figures(tracker: Tracker, prepared: Prepared, history: History, model: keras.Model) -> None:
    """Log the learning curves, and a figure of predictions against labels on the test, validation or training rows."""
    tracking, splits = prepared.experiment.tracking, prepared.splits
    if not (tracking.enabled and tracking.figures):
        return
    part = splits.test or splits.validation or splits.train
    held_out = feeds(prepared)[2 if splits.test else 1] or feeds(prepared)[0]
    predicted = training.predict(model, held_out, len(part))
    if len(history):
        tracker.log_figure("learning_curves", history=history.columns())
    names = list(splits.spec.target_names or ())
    if splits.spec.task == "classification":
        classes = [str(each) for each in splits.spec.classes or ()]
        arrays = {"y_true": part.labels, "y_pred": _most_likely(predicted)}
        tracker.log_figure("confusion_matrix", arrays, classes=classes)
    elif splits.spec.task == "labels":
        tracker.log_figure("labels", {"y_true": part.labels, "y_pred": predicted}, names=names)
    else:
        tracker.log_figure("predicted_against_true", {"y_true": part.labels, "y_pred": predicted}, names=names)


def _most_likely(predicted: Any) -> Any:
    """Return the class index of each prediction."""
    import numpy as np

    from kexp.system.large_arrays import filled

    size = 2**16  # rows at once
    chunks = (predicted[start : start + size] for start in range(0, len(predicted), size))
    if predicted.shape[-1] > 1:
        return filled(len(predicted), (chunk.argmax(axis=-1) for chunk in chunks))
    return filled(len(predicted), ((chunk[..., 0] > 0.5).astype(np.int64) for chunk in chunks))


def save_files(tracker: Tracker, prepared: Prepared, model: keras.Model, usable: UsableFormats) -> list[Path]:
    """Save the model in each usable format, load and compare it, and log the files as artifacts.

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
    """Return the indices of the first rows: as many as the model's Input fixes, or else at most `PROBE_ROWS`."""
    import numpy as np

    size = model.inputs[0].shape[0] if getattr(model, "inputs", None) else None
    return np.arange(size or min(PROBE_ROWS, available), dtype=np.intp)


def _predict(model: keras.Model, x: Any) -> Any:
    import keras

    return keras.ops.convert_to_numpy(model(x, training=False))


def _yaml(config: Mapping[str, Any]) -> str:
    import yaml

    fast = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # exists if PyYAML was built with libyaml
    return str(yaml.dump(dict(config), Dumper=fast, sort_keys=False))

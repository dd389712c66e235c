"""What a run leaves behind, besides its metrics: parameters, config, data sets, figures, models."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp import training
from kexp.config import key_of
from kexp.experiment.holding import Holding, how_to_make
from kexp.experiment.lineage import data_of_metrics, record_data
from kexp.experiment.prepared import Prepared, feeds
from kexp.experiment.served import served
from kexp.experiment.telling import tell_size
from kexp.notebook import displays_held_back
from kexp.own_code import is_kept, sources_of
from kexp.run_names import run_name
from kexp.schema import AUTO, Experiment, Taken, Tracking
from kexp.tracking import Registration, Tracker, flatten, registration
from kexp.training import History

if TYPE_CHECKING:
    import keras

    from kexp.data import Splits

__all__ = [
    "NOTE",
    "Source",
    "described",
    "own_modules",
    "own_sources",
    "own_tags",
    "record_figures",
    "record_model",
    "record_outcome",
    "record_setup",
    "run_tags",
    "save_files",
    "summary_of",
]

_REFERENCE = re.compile(r"(?<!\S)([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(?!\S)")
NOTE = "mlflow.note.content"  # what MLflow shows as a run's description
PROBE_ROWS = 32  # rows that saved models are compared on


@dataclass(frozen=True)
class Source:
    """What the user wrote, kept with the run.

    Attributes:
        overrides: the command line's overrides.
        yaml: the composed config with interpolations unresolved, so that no secret is written out.
    """

    overrides: tuple[str, ...] = ()
    yaml: str = ""


def run_tags(prepared: Prepared, folder: Path, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What marks a run as one of ours."""
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
    """The tags that the user asks for; MLflow keeps the description as one."""
    note = {} if tracking.description is None else {NOTE: tracking.description}
    return {**{str(key): value for key, value in (tracking.tags or {}).items()}, **note}


def summary_of(model: keras.Model) -> str:
    """Keras' table of the model's layers."""
    lines: list[str] = []
    with displays_held_back():  # what prints the table shows it in a notebook, too
        model.summary(print_fn=lambda text, **_: lines.append(text), line_length=100)
    return "\n".join(lines)


def run_parameters(config: Mapping[str, Any], overrides: Iterable[str] = ()) -> dict[str, Any]:
    """A config as a run's parameters: all of it but where and how it is run, and what is not set.

    Args:
        config: plain and whole.
        overrides: what the user wrote: null says something where they wrote it.
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
    """What is known before the first epoch: parameters, config, data sets, environment.

    Args:
        tracker: takes it.
        prepared: the experiment.
        source: what the user wrote.
        summary: of the model.
        size: of the model, as `size_of` gives it.
        ran_on: what `tracking.environment` gives, where a sweep has asked for it already.
    """
    import json

    from kexp.tracking import environment

    experiment, splits = prepared.experiment, prepared.splits
    config = experiment.as_dict()
    tracker.log_params(run_parameters(config, source.overrides))
    tracker.log_text(_with_taken(source.yaml, prepared) or _yaml(config), "config.yaml")
    tracker.log_text("\n".join(source.overrides) + "\n", "overrides.txt")
    tracker.log_text(summary, "model_summary.txt")
    tell_size(tracker, prepared, size)
    tracker.log_text(json.dumps(ran_on or environment(), indent=2), "environment.json")
    tracker.log_text(json.dumps(described(splits), indent=2), "data.json")
    for name, file in own_sources(experiment).items():
        tracker.log_text(file.read_text(encoding="utf-8", errors="replace"), f"code/{name}")
    if splits.encoding:
        tracker.log_text(json.dumps(splits.encoding, indent=2), "data_encoding.json")
    record_data(tracker, prepared)


def _with_taken(text: str, prepared: Prepared) -> str:
    """The config as it was written, but for what the model's own code compiled, which is there to be read without it,
    and for the run that the model begins with."""
    import yaml

    experiment, taken = prepared.experiment, prepared.taken
    if not text or (taken == Taken() and prepared.earlier is None):
        return text
    written = yaml.safe_load(text)
    if prepared.earlier is not None:  # what `latest` meant, and whether the output is new
        written["model"] = experiment.model.as_dict()
    if experiment.optimizer_of_model:
        written["optimizer"] = experiment.optimizer.as_dict()
    if experiment.loss is not None and taken.loss is not None and written["loss"].get("name") == AUTO:
        written["loss"] = experiment.loss.as_dict()
    if taken.metrics and AUTO in written["metrics"]:
        written["metrics"] = {key: node.as_dict() for key, node in experiment.metrics.items()}
    return _yaml(written)


def own_modules(experiment: Experiment) -> list[str]:
    """The modules of the user's own that an experiment's references name, sorted."""
    named = {found.group(1) for found in _REFERENCE.finditer(" ".join(texts_of(experiment.as_dict())))}
    return [module for module in sorted(named) if is_kept(module)]


def own_sources(experiment: Experiment) -> dict[str, Path]:
    """The files of those modules, and of those beside them that they import."""
    return {name: file for module in own_modules(experiment) for name, file in sources_of(module).items()}


def texts_of(node: Any) -> Iterator[str]:
    """Every text inside a config."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for each in node.values():
            yield from texts_of(each)
    elif isinstance(node, (list, tuple)):
        for each in node:
            yield from texts_of(each)


def described(splits: Splits) -> dict[str, Any]:
    """What using the model later takes to know of its data, so that the data itself need not be there any more."""
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


def record_outcome(tracker: Tracker, history: History, started: float) -> None:
    """What is known at the end: how long it took, and why it ended early."""
    tracker.set_tags({"kexp.duration_s": f"{time.perf_counter() - started:.3f}"})
    if history.stopped:
        tracker.set_tags({"kexp.stopped": history.stopped})


def record_model(
    tracker: Tracker,
    prepared: Prepared,
    history: History,
    model: keras.Model,
    held: Holding,
    tested: Mapping[str, float] | None = None,
) -> None:
    """The MLflow model, linked to its last metrics, where it can hold the model; registered if that was asked for."""
    from kexp.persistence import tensorflow_not_needed

    save = prepared.experiment.save
    if not (save.model and held.mlflow):
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
    """Learning curves, and how predictions compare with the truth on the rows held out."""
    import numpy as np

    tracking, splits = prepared.experiment.tracking, prepared.splits
    if not (tracking.enabled and tracking.figures):
        return
    part = splits.test or splits.validation or splits.train
    held_out = feeds(prepared)[2 if splits.test else 1] or feeds(prepared)[0]
    predicted = training.predict(model, held_out)
    if len(history):
        tracker.log_figure("learning_curves", history=history.columns())
    names = list(splits.spec.target_names or ())
    if splits.spec.task == "classification":
        classes = [str(each) for each in splits.spec.classes or ()]
        guessed = predicted.argmax(axis=-1) if predicted.shape[-1] > 1 else (predicted[..., 0] > 0.5).astype(np.int64)
        tracker.log_figure("confusion_matrix", {"y_true": part.labels, "y_pred": guessed}, classes=classes)
    elif splits.spec.task == "labels":
        tracker.log_figure("labels", {"y_true": part.labels, "y_pred": predicted}, names=names)
    else:
        tracker.log_figure("predicted_against_true", {"y_true": part.labels, "y_pred": predicted}, names=names)


def save_files(tracker: Tracker, prepared: Prepared, model: keras.Model, held: Holding) -> list[Path]:
    """Saves the model in each format that holds it, read back and compared, and records the files as artifacts.

    Raises:
        SaveError: a file does not read back identically.
    """
    from kexp.persistence import save_model

    if not held.formats:
        return []
    train = prepared.splits.train
    probe = train.batch(_first_rows(len(train), model))[0]
    saved = save_model(model, tracker.folder / "saved", held.formats, probe, **how_to_make(prepared, model))
    tracker.log_file(tracker.folder / "saved")
    return saved


def _first_rows(available: int, model: keras.Model) -> Any:
    """Rows to try a model on: as many as its batches have, where they have one size."""
    import numpy as np

    size = model.inputs[0].shape[0] if getattr(model, "inputs", None) else None
    return np.arange(size or min(PROBE_ROWS, available), dtype=np.intp)


def _predict(model: keras.Model, x: Any) -> Any:
    import keras

    return keras.ops.convert_to_numpy(model(x, training=False))


def _yaml(config: Mapping[str, Any]) -> str:
    import yaml

    fast = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # where PyYAML was built with libyaml
    return str(yaml.dump(dict(config), Dumper=fast, sort_keys=False))

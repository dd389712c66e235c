"""Records a run's parameters, config, data sets, figures and models."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp import training
from kexp.experiment.logging.epoch_metrics import log_size
from kexp.experiment.logging.lineage import record_data
from kexp.experiment.logging.note import NOTE, note_of, outcome_of
from kexp.experiment.own_files import own_sources
from kexp.experiment.prepared import Prepared, feeds
from kexp.registry.groups import key_of
from kexp.schema import AUTO, Taken, Tracking
from kexp.system.notebook import hide_displays
from kexp.tracking import Tracker, flatten
from kexp.training import History

if TYPE_CHECKING:
    import keras

    from kexp.data import Splits

__all__ = [
    "Source",
    "config_tags",
    "describe_data",
    "model_summary",
    "record_figures",
    "record_outcome",
    "record_setup",
    "run_tags",
]


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
    """Returns the tags of a run: kexp's own, those of the config, and further ones.

    Args:
        prepared: the experiment.
        folder: the folder of the run's files.
        more: further tags, which take precedence.
    """
    from kexp._version import __version__

    return {
        "kexp.fingerprint": prepared.fingerprint,
        "kexp.version": __version__,
        "kexp.folder": str(folder.resolve()),
        **({"kexp.begins_with": prepared.earlier.run_id} if prepared.earlier else {}),
        **config_tags(prepared.experiment.tracking),
        **(more or {}),
    }


def config_tags(tracking: Tracking) -> dict[str, Any]:
    """Returns the tags that the config sets, including the description, which MLflow stores as a tag."""
    note = {} if tracking.description is None else {NOTE: tracking.description}
    return {**{str(key): value for key, value in (tracking.tags or {}).items()}, **note}


def model_summary(model: keras.Model) -> str:
    """Returns Keras' table of the model's layers."""
    lines: list[str] = []
    with hide_displays():  # Keras also displays the table in a notebook
        model.summary(print_fn=lambda text, **_: lines.append(text), line_length=100)
    return "\n".join(lines)


def run_parameters(config: Mapping[str, Any], overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Flattens a config to a run's parameters, without the settings of tracking and sweeps and without null values.

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
    """Records what exists before the first epoch: parameters, config, data sets, code and environment.

    Args:
        tracker: the run's tracker.
        prepared: the experiment.
        source: the user's input.
        summary: the summary of the model, as `model_summary` returns it.
        size: the size of the model, as `model_size` returns it.
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
    tracker.log_text(json.dumps(describe_data(splits), indent=2), "data.json")
    for name, file in own_sources(experiment).items():
        tracker.log_text(file.read_text(encoding="utf-8", errors="replace"), f"code/{name}")
    if splits.encoding:
        tracker.log_text(json.dumps(splits.encoding, indent=2), "data_encoding.json")
    record_data(tracker, prepared)


def _with_taken(text: str, prepared: Prepared) -> str:
    """Writes into the config what the model's own code compiled, and the earlier run that the model starts from."""
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


def describe_data(splits: Splits) -> dict[str, Any]:
    """Describes the data, so that the model can be used later without it."""
    spec = splits.spec
    return {
        "digest": splits.data.digest,
        "rows": {name: len(part) for name, part in splits.parts.items()},
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
    """Records the duration of a run, the reason if it ended early, and its result in its description.

    Args:
        tracker: the run's tracker.
        prepared: the experiment.
        source: the user's input.
        size: the size of the model, as `model_size` returns it.
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


def record_figures(tracker: Tracker, prepared: Prepared, history: History, model: keras.Model) -> None:
    """Logs the learning curves, and a figure of predictions against labels, unless `tracking.figures` is false.

    The predictions are those of the test rows; without test rows, of the validation or the training rows.

    Args:
        tracker: the run's tracker.
        prepared: the experiment.
        history: the history of the training.
        model: the trained model.
    """
    tracking, splits = prepared.experiment.tracking, prepared.splits
    if not (tracking.enabled and tracking.figures):
        return
    part = splits.held_out
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
    """Returns the class index of each prediction."""
    import numpy as np

    from kexp.system.large_arrays import filled

    size = 2**16  # rows at once
    chunks = (predicted[start : start + size] for start in range(0, len(predicted), size))
    if predicted.shape[-1] > 1:
        return filled(len(predicted), (chunk.argmax(axis=-1) for chunk in chunks))
    return filled(len(predicted), ((chunk[..., 0] > 0.5).astype(np.int64) for chunk in chunks))


def _yaml(config: Mapping[str, Any]) -> str:
    import yaml

    fast = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # exists if PyYAML was built with libyaml
    return str(yaml.dump(dict(config), Dumper=fast, sort_keys=False))

"""Finds the file formats that can store a model, by saving and loading it before it is trained."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp import traits
from kexp.build import build_format, build_model
from kexp.errors import ConfigError, SaveError
from kexp.experiment.logging.serving import formats_for_serving, outputs_of, rows_of
from kexp.experiment.prepared import Prepared
from kexp.registry import OURSELVES

if TYPE_CHECKING:
    import keras

    from kexp.persistence import Format

__all__ = ["UsableFormats", "reload_options", "usable_formats"]

_MLFLOW = "keras"  # the format inside an MLflow model


class UsableFormats:
    """The formats that can store a run's model.

    Attributes:
        formats: name -> format, for the chosen formats that can.
        mlflow: whether an MLflow model can.
        notices: (label, text) for each format that is left out, or takes encoded rows, with the reason.
    """

    def __init__(self, formats: Mapping[str, Format], mlflow: bool = True, left_out: Sequence[str] = ()) -> None:
        self.formats, self.mlflow = dict(formats), mlflow
        self.notices = tuple(("save", text) for text in left_out)


def usable_formats(prepared: Prepared, model: keras.Model, formats: Mapping[str, Format]) -> UsableFormats:
    """Tries the formats on a model that has classes other than those of Keras and kexp.

    A format that the user chose must be able to store the model. Formats that `auto` chose, and the MLflow model, are
    left out if they cannot.

    Raises:
        ConfigError: a format that the user chose cannot store the model; the message has the reason.
    """
    experiment, spec, encoding = prepared.experiment, prepared.splits.spec, prepared.splits.encoding
    rows = rows_of(experiment.data.name, encoding, spec.feature_shape, spec.feature_names)
    outputs = outputs_of(experiment, spec.task, spec.classes, spec.target_names, spec.positions)
    formats, lines = formats_for_serving(formats, rows, outputs)
    if _is_plain(prepared, model):
        return UsableFormats(formats, left_out=lines)
    usable = {}
    without: dict[str, list[str]] = {}
    for name, fmt in formats.items():
        reason = _refusal_reason(prepared, model, name, fmt)
        if reason and name in experiment.save.formats:
            raise ConfigError(f"save.formats: {name} cannot hold {_model_label(prepared)}: {reason}")
        if reason:
            without.setdefault(reason, []).append(name)
        else:
            usable[name] = fmt
    mlflow = experiment.save.model
    if mlflow and _MLFLOW not in usable:
        reason = _refusal_reason(prepared, model, _MLFLOW, build_format(_MLFLOW))
        if reason:
            mlflow = False
            without.setdefault(reason, []).append("the MLflow model")
    for reason, names in without.items():
        listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        verb = "are" if len(names) > 1 else "is"
        lines.append(f"{listed} cannot hold {_model_label(prepared)} and {verb} left out: {reason}")
    return UsableFormats(usable, mlflow, lines)


def reload_options(prepared: Prepared, model: keras.Model) -> dict[str, Any]:
    """Returns the arguments of `save_model` to load the model again: a function that builds it, and custom objects."""
    node = prepared.experiment.model
    if _is_plain(prepared, model):
        return {}
    own = node.component.distribution != OURSELVES or prepared.earlier is not None
    return {
        "architecture": lambda: build_model(node, prepared.spec),
        "custom_objects": traits.classes_of(node.component) if own else {},
    }


def _is_plain(prepared: Prepared, model: keras.Model) -> bool:
    """Returns whether every format can store the model: a model of kexp's, with layers of Keras or kexp only."""
    if prepared.experiment.model.component.distribution != OURSELVES or prepared.earlier is not None:
        return False
    kinds = {type(layer) for layer in model._flatten_layers()}
    homes = {kind.__module__.partition(".")[0] for kind in kinds}
    return homes <= {"keras", OURSELVES} and "Lambda" not in {kind.__name__ for kind in kinds}


def _model_label(prepared: Prepared) -> str:
    return f"model={prepared.experiment.model.name}"


def _refusal_reason(prepared: Prepared, model: keras.Model, name: str, fmt: Format) -> str:
    """Returns the reason why a format cannot store the model; empty if it can."""
    import keras
    import numpy as np

    from kexp.persistence import carries, save_model

    graph = isinstance(model, keras.Sequential) or getattr(model, "inputs", None) is not None
    if carries(fmt) == "function" and graph:
        return ""  # such a format stores only the predict function, which every graph of layers has
    probe = prepared.splits.train.batch(np.arange(1, dtype=np.intp))[0]
    try:
        with tempfile.TemporaryDirectory(prefix="kexp-try-") as folder:
            save_model(model, Path(folder), {name: fmt}, probe, **reload_options(prepared, model))
    except SaveError as error:
        return _reason(error.__cause__ or error)
    return ""


# Patterns of Keras' long messages for the common causes, and a short message for each.
_KNOWN = (
    (r"Lambda` layer", "a Lambda layer of a Python lambda is code, which no file is trusted with; name the function"),
    (
        r"created by passing non-serializable|get_config\b(?!\(\)` are explicitly)|unexpected keyword argument",
        "its class cannot be made from its get_config; give it one, or an __init__ that takes **kwargs",
    ),
    (r"Layer count mismatch|subclassed", "it holds graphs of layers alone, and this is a class with a call of its own"),
    (r"could not be deserialized|Could not locate", "its class cannot be found by name; define it in a module"),
)


def _reason(error: BaseException) -> str:
    from kexp.model.check import first_sentence

    text = str(error)
    return next((message for pattern, message in _KNOWN if re.search(pattern, text)), first_sentence(error))

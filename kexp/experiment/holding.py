"""Which file formats can hold a model: found by saving it, untrained, and reading it back, before it is trained."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp import traits
from kexp.build import build_format, build_model
from kexp.errors import ConfigError, SaveError
from kexp.experiment.prepared import Prepared
from kexp.registry import OURSELVES

if TYPE_CHECKING:
    import keras

    from kexp.persistence import Format

__all__ = ["Holding", "holding", "how_to_make"]

_MLFLOW = "keras"  # what an MLflow model keeps


class Holding:
    """What of a run's files can hold its model.

    Attributes:
        formats: the chosen ones that can, by name.
        mlflow: whether an MLflow model can.
        notices: what is left out and why: (label, text).
    """

    def __init__(self, formats: Mapping[str, Format], mlflow: bool = True, left_out: Sequence[str] = ()) -> None:
        self.formats, self.mlflow = dict(formats), mlflow
        self.notices = tuple(("save", text) for text in left_out)


def holding(prepared: Prepared, model: keras.Model, formats: Mapping[str, Format]) -> Holding:
    """Tries the formats on a model that is not of kexp's and Keras' own layers throughout.

    Formats that the user chose must hold it. Of those that `auto` stands for, and of the MLflow model, those that
    cannot are left out.

    Raises:
        ConfigError: a chosen format cannot; the sentence has the reason.
    """
    experiment = prepared.experiment
    if _is_plain(prepared, model):
        return Holding(formats)
    held, lines = {}, []
    for name, fmt in formats.items():
        reason = _why_not(prepared, model, name, fmt)
        if reason and name in experiment.save.formats:
            raise ConfigError(f"save.formats: {name} cannot hold {_called(prepared)}: {reason}")
        if reason:
            lines.append(f"{name} cannot hold {_called(prepared)} and is left out: {reason}")
        else:
            held[name] = fmt
    mlflow = experiment.save.model
    if mlflow and _MLFLOW not in held:
        reason = _why_not(prepared, model, _MLFLOW, build_format(_MLFLOW))
        if reason:
            mlflow = False
            lines.append(f"the MLflow model is left out: {reason}")
    return Holding(held, mlflow, lines)


def how_to_make(prepared: Prepared, model: keras.Model) -> dict[str, Any]:
    """What reading back such a model takes: how it is made anew, and what its config refers to."""
    node = prepared.experiment.model
    if _is_plain(prepared, model):
        return {}
    own = node.component.distribution != OURSELVES or prepared.earlier is not None
    return {
        "architecture": lambda: build_model(node, prepared.spec),
        "custom_objects": traits.classes_of(node.component) if own else {},
    }


def _is_plain(prepared: Prepared, model: keras.Model) -> bool:
    """Whether every file can hold the model: kexp's own, of layers of classes that are Keras' or kexp's."""
    if prepared.experiment.model.component.distribution != OURSELVES or prepared.earlier is not None:
        return False
    homes = {type(layer).__module__.partition(".")[0] for layer in model._flatten_layers()}
    return homes <= {"keras", OURSELVES}


def _called(prepared: Prepared) -> str:
    return f"model={prepared.experiment.model.name}"


def _why_not(prepared: Prepared, model: keras.Model, name: str, fmt: Format) -> str:
    """Why a format cannot hold the model; empty where it can."""
    import keras
    import numpy as np

    from kexp.persistence import save_model

    graph = isinstance(model, keras.Sequential) or getattr(model, "inputs", None) is not None
    if getattr(fmt, "carries", "model") == "function" and graph:
        return ""  # predictions alone, which every graph of Keras' layers gives
    probe = prepared.splits.train.batch(np.arange(1, dtype=np.intp))[0]
    try:
        with tempfile.TemporaryDirectory(prefix="kexp-try-") as folder:
            save_model(model, Path(folder), {name: fmt}, probe, **how_to_make(prepared, model))
    except SaveError as error:
        return _reason(error.__cause__ or error)
    return ""


# What Keras says of the common causes, at length, and what it comes to.
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

"""A run's model, loaded from what the run saved: verified first, compiled again from the run's config afterwards."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kexp import registry, traits
from kexp.build import build_format
from kexp.errors import ComponentError, LoadError, UnknownNameError, suggestion
from kexp.groups import group_of_parameter
from kexp.schema import Experiment
from kexp.stored.code import changed_code, kept_code
from kexp.stored.config import load_experiment
from kexp.stored.description import Description, describe
from kexp.stored.runs import StoredRun, find
from kexp.tracking import command_line, fetch_artifact, list_artifacts

if TYPE_CHECKING:
    import keras

    from kexp.persistence import Format, Predictor

__all__ = ["load_model", "load_uncompiled", "open_model", "own_classes", "restore_optimizer", "use_backend"]

_SAVED = "saved"
# The fewer conversions a file went through the better; what keeps predictions alone comes last.
_BEST_FIRST = ("keras", "h5", "weights", "tf_checkpoint")
_ARCHITECTURES = ("model.json", "model.yaml")


def load_model(
    run_id: str,
    format: str | None = None,
    *,
    tracking_uri: str | None = None,
    trusted: bool | None = None,
    code: Literal["now", "run"] = "now",
) -> keras.Model | Predictor:
    """The model that a run saved, compiled as the run compiled it.

    Args:
        run_id: a run's id, a unique prefix of one, or `latest`.
        format: one of the formats that the run saved: `h5`, `keras`, `weights`, ...; the best of them unless given.
            `json` and `yaml` keep the architecture alone: the weights then come from another of the run's files.
        tracking_uri: the store; by default `MLFLOW_TRACKING_URI`, or `sqlite:///mlflow.db` in the working directory.
        trusted: whether the run's files are believed; by default those of a store on this machine are, those of a
            server are not. Of files that are not, no code runs: they are read in a child process with limits, their
            layers must be known ones, and formats that are programs (`saved_model`, `onnx`) are refused.
        code: your own modules that the run's config names: as they are now, with a warning where they are not what they
            were, or as the run kept them.

    Returns:
        A compiled Keras model with a fresh optimizer; for `saved_model` and `onnx` a function from inputs of shape
        (batch, ...) to predictions of shape (batch, outputs).

    Raises:
        UnknownNameError: there is no such run or format.
        LoadError: the run did not save that format, or the file is damaged or not what it claims to be.
        StoreError: the store cannot be read.
    """
    run = find(run_id, tracking_uri=tracking_uri, trusted=trusted)
    with kept_code(run, code):
        experiment = load_experiment(run)
        use_backend(experiment.backend)
        changed = changed_code(run, experiment)
        if changed:
            warnings.warn(
                f"{', '.join(changed)}: not what it was when {run.label} ran; code='run' takes what the run kept",
                stacklevel=2,
            )
        return open_model(run, experiment, describe(run, experiment), format)


def use_backend(name: str) -> None:
    """Makes Keras use the run's backend, unless this process has imported Keras already: files load on each."""
    from kexp.training import prepare_backend

    if "keras" not in sys.modules:
        prepare_backend(name)


def open_model(
    run: StoredRun, experiment: Experiment, description: Description, format: str | None = None
) -> keras.Model | Predictor:
    """As `load_model`, of a run that was found already.

    Args:
        run: the run.
        experiment: its config, settled.
        description: its data.
        format: one of the formats that the run saved; the best of them unless given.
    """
    with _loaded(run, experiment, format) as (loaded, _):
        if hasattr(loaded, "compile"):
            from kexp.experiment import compile_model

            steps = description.steps_per_epoch(experiment)
            compile_model(experiment, loaded, steps, weighted=description.weighted)
    return loaded


def load_uncompiled(run: StoredRun) -> keras.Model | Predictor:
    """A run's model from the best of its files, not compiled."""
    with kept_code(run, "now"), _loaded(run, load_experiment(run), None) as (loaded, _):
        return loaded


def restore_optimizer(run: StoredRun, model: keras.Model) -> bool:
    """Gives a compiled model the state that the run's optimizer ended with; whether a file of the run holds it."""
    from kexp import persistence

    with _loaded(run, load_experiment(run), None) as (_, (folder, fmt)):
        return persistence.restore_optimizer(model, folder, fmt)


@contextlib.contextmanager
def _loaded(run: StoredRun, experiment: Experiment, format: str | None) -> Iterator[tuple[Any, tuple[Path, Format]]]:
    """A run's model, not compiled, and where its file is while the block lasts, in the run's precision."""
    files = list_artifacts(run.settings, run.view.run_id, _SAVED)
    available = _available(run, experiment, {path.removeprefix(f"{_SAVED}/") for path in files})
    name = _chosen(run, available, format)
    with tempfile.TemporaryDirectory(prefix="kexp-load-") as temporary, _precision(experiment):
        folder = Path(temporary, _SAVED)
        try:
            loaded = _load(run, experiment, folder, available, name)
        except LoadError as error:  # the copy's place says nothing to the user
            raise LoadError(f"{run.label}: {str(error).replace(f'{temporary}/', '')}") from error
        yield loaded, (folder, available[name])


def _load(
    run: StoredRun, experiment: Experiment, folder: Path, available: Mapping[str, Format], name: str
) -> keras.Model | Predictor:
    """The model, not compiled."""
    from kexp import persistence

    fmt = available[name]
    fetched = [fmt.filename, "manifest.json"]
    beside = [each.filename for each in available.values() if each.filename in _ARCHITECTURES]
    carries = getattr(fmt, "carries", "model")
    if carries == "weights":
        fetched += beside
    for filename in fetched:
        try:
            fetch_artifact(run.settings, run.view.run_id, f"{_SAVED}/{filename}", folder)
        except UnknownNameError as error:
            raise LoadError(f"{_SAVED}/{filename} is not in the store, so nothing can be verified") from error
    loaded = persistence.load_model(
        folder,
        name,
        fmt,
        trusted=run.trusted,
        custom_objects=own_classes(experiment),
        architecture=(lambda: _built(experiment)) if carries == "weights" and not beside else None,
    )
    if carries != "architecture":
        return loaded
    weighty = [each for each in available if getattr(available[each], "carries", "model") in ("model", "weights")]
    if not weighty:
        raise LoadError(f"{name} keeps the architecture alone, and the run saved no weights beside it")
    import keras

    source = _load(run, experiment, folder, available, min(weighty, key=_rank))
    persistence.set_weights(loaded, [keras.ops.convert_to_numpy(each) for each in source.weights])  # type: ignore[union-attr]
    return loaded


def _built(experiment: Experiment) -> keras.Model:
    """The architecture from the config itself, which takes the data's shapes and so the data."""
    from kexp.build import build_model
    from kexp.experiment import prepare

    return build_model(experiment.model, prepare(experiment).spec)


def _available(run: StoredRun, experiment: Experiment, files: set[str]) -> dict[str, Format]:
    """The formats that the run has files of, by name."""
    found: dict[str, Format] = {}
    for name in dict.fromkeys([*experiment.save.files, *registry.names("format")]):
        try:
            fmt = build_format(name)
        except ComponentError:  # a broken plugin is no reason not to load what another wrote
            continue
        there = any(path == fmt.filename or path.startswith(f"{fmt.filename}/") for path in files)
        if there and fmt.filename not in {each.filename for each in found.values()}:
            found[name] = fmt
    if not found and run.view.status == "FINISHED" and run.view.parent_run_id is not None:
        again = command_line("reproduce", run.view.run_id[:8], "--save", store=run.settings)
        raise LoadError(
            f"{run.label} saved no model: a sweep keeps those of its best trials (save.keep); "
            f"`{again}` trains it again and saves it"
        )
    if not found:
        saved = "saved no model" if run.view.status == "FINISHED" else f"is {run.view.status} and saved no model"
        raise LoadError(f"{run.label} {saved}; runs save in the formats of save.formats")
    return found


def _chosen(run: StoredRun, available: Mapping[str, Format], format: str | None) -> str:
    if format is not None:
        if format not in available:
            if ":" not in format:
                registry.find("format", format, "format")  # a name that does not exist is said first
            raise LoadError(
                f"{run.label} was not saved as {format}{suggestion(format, available)}"
                if len(available) == 1
                else f"{run.label} was not saved as {format}; it has {', '.join(available)}"
            )
        return format
    usable = [name for name in available if getattr(available[name], "carries", "model") != "architecture"]
    if not usable:
        raise LoadError(f"{run.label} saved its architecture alone ({', '.join(available)}), no weights")
    return min(usable, key=lambda name: (getattr(available[name], "carries", "model") == "function", _rank(name)))


def _rank(name: str) -> int:
    return _BEST_FIRST.index(name) if name in _BEST_FIRST else len(_BEST_FIRST)


def own_classes(experiment: Experiment) -> dict[str, Any]:
    """What the model's config names and Keras does not know: classes of plugins and of the user's own modules."""
    from kexp.components.activations import parametric_activation
    from kexp.components.functions import GROUPS_IN_FILES, function_part
    from kexp.experiment import begins_with_run

    classes = [parametric_activation(), *map(function_part, GROUPS_IN_FILES)]
    found: dict[str, Any] = {kind.__name__: kind for kind in classes}
    if begins_with_run(experiment):
        earlier = find(str(experiment.model.parameters["run"]), tracking_uri=experiment.tracking.uri)
        found.update(own_classes(load_experiment(earlier)))
    named = [("activation", experiment.activation.name), *_named(experiment.model.as_dict(), "model")]
    for group, name in named:
        component = registry.find(group, name)
        if component.distribution != registry.OURSELVES:
            found.update(traits.classes_of(component))
    return found


def _named(node: Any, group: str | None = None) -> Iterator[tuple[str, str]]:
    """(group, name) of each component inside a model's config."""
    if isinstance(node, Mapping):
        if group is not None and isinstance(node.get("name"), str):
            yield group, node["name"]
        for key, value in node.items():
            yield from _named(value, group_of_parameter(str(key)))
    elif isinstance(node, list):
        for each in node:
            yield from _named(each, group)
    elif isinstance(node, str) and group is not None and group != "layer":
        yield group, node


@contextlib.contextmanager
def _precision(experiment: Experiment) -> Iterator[None]:
    """The run's precision while its model is made; the caller's afterwards."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if experiment.trainer.mixed_precision else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

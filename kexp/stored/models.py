"""Loads a run's saved model, verifies it, and compiles it from the run's config."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kexp import persistence, registry, traits
from kexp.build import build_format
from kexp.errors import ComponentError, LoadError, UnknownNameError, suggestion
from kexp.registry.groups import group_of_parameter
from kexp.schema import Experiment
from kexp.stored.code import changed_code, recorded_code
from kexp.stored.config import load_experiment
from kexp.stored.description import Description, describe
from kexp.stored.runs import StoredRun, find
from kexp.system.process_settings import put, set_by
from kexp.tracking import command_line, fetch_artifact, list_artifacts

if TYPE_CHECKING:
    import keras

    from kexp.persistence import Format, Predictor

__all__ = ["load_model", "load_uncompiled", "open_model", "own_classes", "restore_optimizer", "use_backend"]

_SAVED = "saved"
# Formats that need fewer conversions come first. Formats of a predict function only are not listed, and come last.
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
    """Loads the model that a run saved, compiled as in the run.

    Args:
        run_id: a run id, a unique prefix of one, or `latest`.
        format: a format that the run saved: `h5`, `keras`, `weights`, ...; the best one unless given. `json` and `yaml`
            store only the architecture; the weights then come from another file of the run.
        tracking_uri: the store; by default `MLFLOW_TRACKING_URI`, or `sqlite:///mlflow.db` in the working directory.
        trusted: whether to trust the run's files; by default those of a store on this machine are trusted, and those of
            a server are not. No code of untrusted files runs: they are read in a child process with limits, their
            layers must be known, and formats that are programs (`saved_model`, `onnx`) are refused.
        code: which version of your modules to use: "now" for the current files, with a warning if they have changed
            since the run, or "run" for the files that the run recorded.

    Returns:
        A compiled Keras model with a new optimizer. For `saved_model` and `onnx`, a function from inputs of shape
        (batch, ...) to predictions of shape (batch, outputs).

    Raises:
        UnknownNameError: the run or format does not exist.
        LoadError: the run did not save that format, or the file is damaged or is not what its manifest says.
        StoreError: the store cannot be read.
    """
    run = find(run_id, tracking_uri=tracking_uri, trusted=trusted)
    with recorded_code(run, code):
        experiment = load_experiment(run)
        use_backend(experiment.backend)
        changed = changed_code(run, experiment)
        if changed:
            warnings.warn(
                f"{', '.join(changed)}: changed since {run.label}; code='run' uses the code that the run recorded",
                stacklevel=2,
            )
        return open_model(run, experiment, describe(run, experiment), format)


def use_backend(name: str) -> None:
    """Selects the run's backend, unless this process has already imported Keras; files load on any backend."""
    from kexp.training import prepare_backend

    if "keras" not in sys.modules:
        prepare_backend(name)


def open_model(
    run: StoredRun, experiment: Experiment, description: Description, format: str | None = None
) -> keras.Model | Predictor:
    """Loads and compiles the model of a run; see `load_model` for the result and the errors.

    Args:
        run: the run.
        experiment: the run's config, whose loss is chosen.
        description: the description of the run's data.
        format: a format that the run saved; the best one unless given.
    """
    with _loaded(run, experiment, format) as (loaded, _):
        if hasattr(loaded, "compile"):
            from kexp.experiment import compile_model

            steps = description.steps_per_epoch(experiment)
            compile_model(experiment, loaded, steps, weighted=description.weighted)
    return loaded


def load_uncompiled(run: StoredRun) -> keras.Model | Predictor:
    """Loads a run's model from the best of its formats, without compiling it."""
    with recorded_code(run, "now"), _loaded(run, load_experiment(run), None) as (loaded, _):
        return loaded


def restore_optimizer(run: StoredRun, model: keras.Model) -> bool:
    """Restores the final state of the run's optimizer in a compiled model. Returns False if no file has it."""
    with _loaded(run, load_experiment(run), None) as (_, (folder, fmt)):
        return persistence.restore_optimizer(model, folder, fmt)


@contextlib.contextmanager
def _loaded(run: StoredRun, experiment: Experiment, format: str | None) -> Iterator[tuple[Any, tuple[Path, Format]]]:
    """Loads a run's model, not compiled, in the run's precision. Its files exist while the block lasts."""
    files = list_artifacts(run.settings, run.view.run_id, _SAVED)
    available = _available(run, experiment, {path.removeprefix(f"{_SAVED}/") for path in files})
    name = _chosen(run, available, format)
    from kexp.experiment import own_modules

    put(set_by(own_modules(experiment)))
    with tempfile.TemporaryDirectory(prefix="kexp-load-") as temporary, _precision(experiment):
        folder = Path(temporary, _SAVED)
        try:
            loaded = _load(run, experiment, folder, available, name)
        except LoadError as error:  # the path of the temporary copy means nothing to the user
            raise LoadError(f"{run.label}: {str(error).replace(f'{temporary}/', '')}") from error
        yield loaded, (folder, available[name])


def _load(
    run: StoredRun, experiment: Experiment, folder: Path, available: Mapping[str, Format], name: str
) -> keras.Model | Predictor:
    """Loads a run's model in a format, not compiled."""
    fmt = available[name]
    fetched = [fmt.filename, "manifest.json"]
    beside = [each.filename for each in available.values() if each.filename in _ARCHITECTURES]
    carried = persistence.carries(fmt)
    if carried == "weights":
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
        architecture=(lambda: _built(experiment)) if carried == "weights" and not beside else None,
    )
    if carried != "architecture":
        return loaded
    weighty = [each for each in available if persistence.carries(available[each]) in ("model", "weights")]
    if not weighty:
        raise LoadError(f"{name} stores only the architecture, and the run saved no weights")
    import keras

    source = _load(run, experiment, folder, available, min(weighty, key=_rank))
    persistence.set_weights(loaded, [keras.ops.convert_to_numpy(each) for each in source.weights])  # type: ignore[union-attr]
    return loaded


def _built(experiment: Experiment) -> keras.Model:
    """Builds the model from the config, which needs the data for its shapes."""
    from kexp.build import build_model
    from kexp.experiment import prepare

    return build_model(experiment.model, prepare(experiment).spec)


def _available(run: StoredRun, experiment: Experiment, files: set[str]) -> dict[str, Format]:
    """Returns name -> format, for the formats that the run has files of.

    Raises:
        LoadError: it has files of none.
    """
    found: dict[str, Format] = {}
    for name in dict.fromkeys([*experiment.save.files, *registry.names("format")]):
        try:
            fmt = build_format(name)
        except ComponentError:  # a broken plugin must not prevent loading other formats
            continue
        exists = any(path == fmt.filename or path.startswith(f"{fmt.filename}/") for path in files)
        if exists and fmt.filename not in {each.filename for each in found.values()}:
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
    """Returns the format to load a run's model from: the given one, or the most complete one that the run has.

    Raises:
        LoadError: the run was not saved in the format, or has no weights.
    """
    if format is not None:
        if format not in available:
            if ":" not in format:
                registry.find("format", format, "format")  # raises if the name does not exist
            raise LoadError(
                f"{run.label} was not saved as {format}{suggestion(format, available)}"
                if len(available) == 1
                else f"{run.label} was not saved as {format}; it has {', '.join(available)}"
            )
        return format
    usable = [name for name, fmt in available.items() if persistence.carries(fmt) != "architecture"]
    if not usable:
        raise LoadError(f"{run.label} saved only its architecture ({', '.join(available)}), no weights")
    return min(usable, key=lambda name: (persistence.carries(available[name]) == "function", _rank(name)))


def _rank(name: str) -> int:
    return _BEST_FIRST.index(name) if name in _BEST_FIRST else len(_BEST_FIRST)


def own_classes(experiment: Experiment) -> dict[str, Any]:
    """Returns name -> class of the model's custom objects: classes of kexp, of plugins and of the user's modules."""
    from kexp.components.activations import parametric_activation
    from kexp.components.functions import GROUPS_IN_FILES, function_class
    from kexp.experiment import begins_with_run

    classes = [parametric_activation(), *map(function_class, GROUPS_IN_FILES)]
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
    """Yields (group, name) of each component in a model's config."""
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
    """Sets the run's precision within the block, and restores the caller's afterwards."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if experiment.trainer.mixed_precision else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

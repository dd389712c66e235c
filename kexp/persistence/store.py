"""Saves a model in several formats, verifies each by reading it back, and loads models."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import KexpError, LoadError, SaveError, first_line
from kexp.persistence.architecture import architecture_config, model_from_architecture, tensorflow_not_needed
from kexp.persistence.atomic import publish, remove, remove_stray_files, sync_directory, sync_tree, temporary_path
from kexp.persistence.format import Format, Predictor, carries
from kexp.persistence.formats.json_format import json_format
from kexp.persistence.formats.yaml_format import yaml_format
from kexp.persistence.manifest import (
    Digests,
    digest_of,
    listed_elsewhere,
    read_manifest,
    verify_digest,
    write_manifest,
)
from kexp.persistence.untrusted.load import UNTRUSTED_FORMATS, load_untrusted
from kexp.persistence.verify import Reference
from kexp.system.disk import needing

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = ["load_model", "restore_optimizer", "save_model"]

_BYTES_A_NUMBER = 4


def save_model(
    model: keras.Model,
    folder: Path,
    formats: Mapping[str, Format],
    probe: NDArray[Any],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    architecture: Callable[[], keras.Model] | None = None,
) -> list[Path]:
    """Saves a model in each format, all or none.

    Every file is written under a temporary name in `folder`, flushed to the disk, read back and compared with the
    model. If all are correct, they replace the old files, and `manifest.json` gets their SHA-256 digests. A process
    that is killed leaves each file in its old or its new version.

    Args:
        model: a built model, compiled or not.
        folder: the folder for the files; created if missing.
        formats: formats by registry name.
        probe: one batch of inputs, shape (batch, ...), on which predictions are compared.
        custom_objects: classes and functions by name that the model's config refers to and Keras does not know.
            Classes of layers are found without it.
        architecture: builds the model with new weights, for formats that save only weights; by default from the
            model's config, which fails for a user's class without `get_config`.

    Returns:
        The paths of the files or folders, in the order of `formats`.

    Raises:
        SaveError: a format could not be written or does not read back identically; `folder` is unchanged.
    """
    staged: dict[str, tuple[Path, Path]] = {}
    name = next(iter(formats), "")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_stray_files(folder)
        with _quiet(), tensorflow_not_needed(), _custom_objects(model, custom_objects):
            reference = Reference(model, probe)
            for name, fmt in formats.items():
                target = folder / fmt.filename
                staged[name] = temporary_path(target), target
                _write_verified(model, staged[name][0], fmt, reference, architecture)
        _put_in_place(folder, list(staged.values()))
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None:  # a write does not say what it was for
            error.filename = str(folder / name)
        raise SaveError(f"save.formats: {name} could not be saved in {folder}: {first_line(error)}") from error
    finally:
        for temporary, _ in staged.values():
            remove(temporary)
    return [target for _, target in staged.values()]


def load_model(
    folder: Path,
    name: str,
    fmt: Format,
    *,
    trusted: bool = True,
    custom_objects: Mapping[str, Any] | None = None,
    architecture: Callable[[], keras.Model] | None = None,
) -> keras.Model | Predictor:
    """Loads a model that `save_model` wrote. Code inside a file is not executed.

    Args:
        folder: the folder of the saved files, with their manifest.
        name: registry name of the format, for messages.
        fmt: the format.
        trusted: whether the folder belongs to a trusted run; if not, the rules of `load_untrusted` apply.
        custom_objects: classes and functions by name that the model's config refers to and Keras does not know.
        architecture: builds the model for a format that saves only weights; by default from model.json or model.yaml
            in the same folder.

    Returns:
        The model, not compiled; a Predictor if the format saves no layers.

    Raises:
        LoadError: the file is missing, does not load, or has changed since it was saved (with both digests).
    """
    path = folder / fmt.filename
    if not path.exists():
        raise LoadError(f"{path} does not exist: the model was not saved as {name}")
    verify_digest(folder, fmt.filename)
    if not trusted:
        return _load_untrusted(path, name, fmt, custom_objects, architecture)
    build = architecture or (lambda: _architecture_beside(folder))
    try:
        with _quiet(), _custom_objects(None, custom_objects):
            try:
                with tensorflow_not_needed():
                    return fmt.load(path, architecture=build)
            except ImportError:  # a layer needs TensorFlow on another backend
                return fmt.load(path, architecture=build)
    except KexpError:
        raise
    except Exception as error:
        raise LoadError(f"{path} could not be loaded as {name}: {first_line(error)}") from error


def restore_optimizer(model: keras.Model, folder: Path, fmt: Format) -> bool:
    """Restores the optimizer's state of a compiled model.

    Keras' own loader of whole-model HDF5 loses the state, and `fit` then fails.

    Args:
        model: a model from `load_model`, compiled as it was when it was saved.
        folder: the folder of the saved files.
        fmt: the format that the model was loaded from.

    Returns:
        Whether the file has a state; h5 and keras files do if the model was compiled when it was saved.

    Raises:
        LoadError: the file has changed, or its state belongs to another optimizer.
    """
    import keras

    stored = getattr(fmt, "optimizer_values", None)
    if stored is None:
        return False
    verify_digest(folder, fmt.filename)
    values = stored(folder / fmt.filename)
    if not values:
        return False
    model.optimizer.build(model.trainable_variables)
    variables = model.optimizer.variables
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise LoadError(f"{folder / fmt.filename} holds the state of another optimizer than {model.optimizer.name}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(keras.ops.convert_to_tensor(value, variable.dtype))
    return True


def _load_untrusted(
    path: Path,
    name: str,
    fmt: Format,
    custom_objects: Mapping[str, Any] | None,
    architecture: Callable[[], keras.Model] | None,
) -> keras.Model:
    if fmt.filename not in UNTRUSTED_FORMATS:
        raise LoadError(f"{path}: {name} is loaded only from a trusted run, because such a file is a program")
    config = architecture_config(architecture()) if architecture else None
    return load_untrusted(path, UNTRUSTED_FORMATS[fmt.filename], architecture=config, custom_objects=custom_objects)


def _write_verified(
    model: keras.Model,
    temporary: Path,
    fmt: Format,
    reference: Reference,
    architecture: Callable[[], keras.Model] | None,
) -> None:
    """Writes a model in a format, reads it back, and compares the two.

    Raises:
        SaveError: the model that was read back differs.
    """
    with needing(_size_of(model, carries(fmt))):
        fmt.save(model, temporary)
        sync_tree(temporary)
    build = architecture or (lambda: model_from_architecture(architecture_config(model)))
    loaded = fmt.load(temporary, architecture=build)
    difference = reference.difference(loaded, fmt)
    stored = getattr(fmt, "optimizer_values", None)
    if difference is None and stored is not None:
        difference = reference.optimizer_difference(lambda: stored(temporary))
    if difference is None and hasattr(fmt, "difference"):
        difference = fmt.difference(loaded)
    if difference is not None:
        raise SaveError(f"it {difference}")


def _size_of(model: keras.Model, carried: str) -> int:
    """Returns an estimate of a file's size in bytes: that of the variables in it; 0 for a file without variables."""
    optimizer = getattr(getattr(model, "optimizer", None), "variables", ()) if carried == "model" else ()
    variables = () if carried == "architecture" else (*model.variables, *optimizer)
    return sum(_BYTES_A_NUMBER * int(math.prod(each.shape)) for each in variables)


def _put_in_place(folder: Path, staged: list[tuple[Path, Path]]) -> None:
    filenames = [target.name for _, target in staged]
    before = _listed(folder)
    after: Digests = listed_elsewhere(before, filenames)
    for temporary, target in staged:
        after.update(digest_of(temporary, target.name))
    write_manifest(folder, before, pending=after)
    for temporary, target in staged:
        publish(temporary, target)
    sync_directory(folder)
    write_manifest(folder, after)


def _listed(folder: Path) -> Digests:
    """Computes the digests of the listed files, which may be the old or the new ones after a killed save."""
    try:
        manifest = read_manifest(folder)
    except LoadError:
        manifest = None
    listed: Digests = {}
    for name in {name for digests in manifest or () for name in digests}:
        if (folder / name).is_file():
            listed.update(digest_of(folder / name, name))
    return listed


def _architecture_beside(folder: Path) -> keras.Model:
    for fmt in (json_format(), yaml_format()):
        path = folder / fmt.filename
        if path.is_file():
            verify_digest(folder, fmt.filename)
            return fmt.load(path)
    raise LoadError(f"{folder} has neither model.json nor model.yaml, and these weights need an architecture")


@contextlib.contextmanager
def _custom_objects(model: keras.Model | None, given: Mapping[str, Any] | None) -> Iterator[None]:
    import keras

    layers = list(model._flatten_layers() if model is not None else ())
    parts = (keras.initializers.Initializer, keras.regularizers.Regularizer, keras.constraints.Constraint)
    inside = [each for layer in layers for each in vars(layer).values() if isinstance(each, parts)]
    kinds = {type(each) for each in (*layers, *inside)}
    known = {kind.__name__: kind for kind in kinds if not kind.__module__.startswith("keras.")}
    with keras.saving.custom_object_scope({**known, **(given or {})}):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides the warnings of Keras and TensorFlow about exports and legacy formats, which the user chose."""
    loggers = [logging.getLogger(name) for name in ("absl", "tensorflow")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

"""Loads a model file of unknown origin safely."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import LoadError, first_line
from kexp.persistence.architecture import model_from_architecture, tensorflow_not_needed
from kexp.persistence.hdf5_tree import Tree, difference, read_tree, write_tree
from kexp.persistence.untrusted.architecture_check import KNOWN_LAYERS, check_architecture
from kexp.system.child_process import ChildProcess

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = ["UNTRUSTED_FORMATS", "load_untrusted"]

UNTRUSTED_FORMATS = {
    "model.h5": "h5",
    "model.weights.h5": "weights",
    "model.keras": "keras",
    "model.json": "json",
    "model.yaml": "yaml",
}
"""File name -> format, for the formats that can be read without running code; a SavedModel, for one, is a program."""


@dataclass(frozen=True)
class _Limits:
    """The limits for reading a file of unknown origin, together with the config file beside it."""

    timeout_s: float
    memory_bytes: int
    max_bytes: int
    ends: float  # of `time.monotonic`


def load_untrusted(
    path: Path,
    format: str,
    *,
    architecture: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    timeout_s: float = 60.0,
    memory_bytes: int = 2 << 30,
    max_bytes: int = 512 << 20,
) -> keras.Model:
    """Loads a model from a file of unknown origin, not compiled.

    A child process with limits on time and memory reads the file and returns plain arrays, which must be finite.
    `check_architecture` checks the config before Keras reads it. The model that is built must have exactly the arrays
    of the file: the same names, shapes, dtypes and values, none missing and none in addition.

    Args:
        path: a regular file.
        format: "h5", "weights", "keras", "json" or "yaml".
        architecture: for "weights", the config of the model, as in model.json; by default read, under the same rules,
            from model.json or model.yaml beside `path`.
        custom_objects: the caller's own layers by class name, which the config may use, too.
        timeout_s: longest time that reading may take, in seconds.
        memory_bytes: largest address space of the child process.
        max_bytes: largest size of the file, and of the arrays in it.

    Raises:
        LoadError: the file breaks a rule; the message names the file and the rule.
    """
    if format not in UNTRUSTED_FORMATS.values():
        known = ", ".join(sorted(UNTRUSTED_FORMATS.values()))
        raise LoadError(f"{path}: an untrusted file is loaded as one of {known}, got {format!r}")
    limits = _Limits(timeout_s, memory_bytes, max_bytes, time.monotonic() + timeout_s)
    with tempfile.TemporaryDirectory(prefix="kexp-inspect-") as scratch:
        copy = _copy_bounded(path, Path(scratch, "file"), max_bytes)
        config, tree, attrs = _inspect(path, copy, format, limits)
    if format == "weights":
        config = architecture if architecture is not None else _config_beside(path, limits)
    if not isinstance(config, Mapping):
        raise LoadError(f"{path} has no model config")
    plain = {key: value for key, value in config.items() if key != "compile_config"}
    try:
        check_architecture(plain, known_layers={*KNOWN_LAYERS, *(custom_objects or {})})
        with tensorflow_not_needed():
            return _build(plain, format, tree, attrs, custom_objects or {})
    except LoadError as error:
        raise LoadError(f"{path}: {error}") from error
    except Exception as error:
        raise LoadError(f"{path} could not be loaded as {format}: {first_line(error)}") from error


def _copy_bounded(path: Path, copy: Path, max_bytes: int) -> Path:
    """Copies the file, so that it cannot change during the checks; opening a pipe or a device does not block."""
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise LoadError(f"{path} is not a regular file")
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > max_bytes:
        raise LoadError(f"{path} is larger than {max_bytes} bytes")
    copy.write_bytes(content)
    return copy


def _inspect(path: Path, copy: Path, format: str, limits: _Limits) -> tuple[Any, Tree, dict[str, dict[str, Any]]]:
    """Reads the config, arrays and text attributes of the file in a child process."""
    import numpy as np

    out = copy.parent
    # One thread: each thread of a numerics library reserves address space, which is limited.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    request = (copy, format, out, limits.memory_bytes, int(limits.timeout_s) + 1, limits.max_bytes)
    child = ChildProcess("kexp.persistence.untrusted.inspector:inspect", *request, environment=environment, folder=out)
    try:
        error = json.loads(child.receive_bytes(max(0.0, limits.ends - time.monotonic()))).get("error")
    except TimeoutError:
        raise LoadError(f"{path} could not be read within {limits.timeout_s:g} s") from None
    except EOFError:
        raise LoadError(f"{path} ended the process that read it (exit code {child.exit_code()})") from None
    finally:
        child.stop()
        child.kill()
    if error:
        raise LoadError(f"{path} could not be read: {error}")
    described = json.loads((out / "tree.json").read_bytes())
    tree: dict[str, NDArray[Any] | None] = {}
    with np.load(out / "arrays.npz", allow_pickle=False) as arrays:
        for index, node in enumerate(described["nodes"]):
            tree[node["path"]] = arrays.get(str(index))
    return described["config"], tree, {node["path"]: node["attrs"] for node in described["nodes"]}


def _config_beside(path: Path, limits: _Limits) -> Any:
    for filename in ("model.json", "model.yaml"):
        beside = path.with_name(filename)
        if beside.exists():
            with tempfile.TemporaryDirectory(prefix="kexp-inspect-") as scratch:
                copy = _copy_bounded(beside, Path(scratch, "file"), limits.max_bytes)
                return _inspect(beside, copy, UNTRUSTED_FORMATS[filename], limits)[0]
    raise LoadError(f"{path.parent} has neither model.json nor model.yaml, and these weights need an architecture")


def _build(
    config: Mapping[str, Any], format: str, tree: Tree, attrs: Mapping[str, Mapping[str, Any]], own: Mapping[str, Any]
) -> keras.Model:
    """Builds the model and loads its weights from arrays that were read in another process.

    Raises:
        LoadError: an array of the file does not fit the model.
    """
    import keras

    from kexp.persistence.formats.h5 import h5
    from kexp.persistence.formats.weights import weights

    config = _by_name_alone(config, own)
    with keras.saving.custom_object_scope(dict(own)), tempfile.TemporaryDirectory(prefix="kexp-load-") as scratch:
        if format in {"json", "yaml"}:
            return model_from_architecture(config)
        if format == "h5":
            clean, again, root = Path(scratch, "clean.h5"), Path(scratch, "again.h5"), "model_weights"
            write_tree(clean, tree, attrs, root, json.dumps(config))
            model = keras.saving.load_model(clean, compile=False, safe_mode=True)
            h5().save(model, again)
        else:
            clean, again, root = Path(scratch, "clean.weights.h5"), Path(scratch, "again.weights.h5"), ""
            write_tree(clean, tree, attrs)
            model = model_from_architecture(config)
            model.load_weights(clean)
            weights().save(model, again)
        # Keras silently skips arrays that do not fit, so the arrays in the model are compared with the file's.
        problem = difference(tree, read_tree(again, root))
    if problem:
        raise LoadError(problem)
    return model


def _by_name_alone(config: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config with the caller's layers named by class only, so that Keras imports no module for them."""
    inside = dict(config["config"])
    inside["layers"] = [
        {**layer, "module": None, "registered_name": layer["class_name"]} if layer["class_name"] in own else layer
        for layer in inside["layers"]
    ]
    return {**config, "config": inside}

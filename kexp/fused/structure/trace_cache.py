"""Caches the results of tracing a structure on disk, beside XLA's compiled programs.

Tracing Keras' steps takes longer than reading a compiled program. Only models of Keras' and kexp's own components are
cached: another package's code may change while its version stays the same.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kexp.experiment import Prepared
from kexp.fused.functional.lowering import device_count
from kexp.fused.structure.grouping import structure_key
from kexp.training.process.compiled_programs import cache_folder, use_compilation_cache

__all__ = ["cache_file", "read_cached", "trace_cache_folder", "write_cached"]

_CACHED_PACKAGES = {"keras", "kexp"}
_TRACED_CODE = ("fused", "training", "model", "components", "losses.py", "build.py")  # in kexp's folder


def cache_file(kind: str, prepared: Prepared, *parts: Any) -> Path | None:
    """Returns the file of a cached result, which may not exist yet.

    Args:
        kind: the kind of result.
        prepared: the representative trial of the structure.
        parts: values besides the structure that the result depends on; their `repr` is part of the file's name.

    Returns:
        None if the result must not be cached.
    """
    experiment, folder = prepared.experiment, trace_cache_folder()
    if folder is None:
        return None
    modules = {module.partition(".")[0] for node in experiment.nodes() for module in node.modules}
    if not {*modules, *(node.component.distribution for node in experiment.nodes())} <= _CACHED_PACKAGES:
        return None
    content = "\n".join([kind, _environment(), structure_key(prepared), *map(repr, parts)])
    return folder / f"{kind}-{hashlib.sha256(content.encode()).hexdigest()}.known"


def trace_cache_folder() -> Path | None:
    """Returns the folder of cached results; None unless JAX runs on one CPU device and uses kexp's own cache."""
    import jax

    folder = use_compilation_cache()
    return folder if folder == cache_folder() and jax.default_backend() == "cpu" and device_count() == 1 else None


def read_cached(file: Path | None) -> Mapping[str, Any] | None:
    """Returns what `write_cached` wrote; None if there is no file or it cannot be read."""
    with contextlib.suppress(Exception):  # it is damaged, or another version of Python wrote it
        return None if file is None else pickle.loads(file.read_bytes())
    return None


def write_cached(file: Path | None, content: Mapping[str, Any]) -> None:
    """Writes a result; does nothing if `file` is None or the result cannot be written."""
    from kexp.persistence.atomic import write_atomically

    if file is not None:
        with contextlib.suppress(Exception):  # the disk is full, or the result cannot be pickled
            write_atomically(file, pickle.dumps(content))


@functools.cache
def _environment() -> str:
    """Returns what traces depend on besides the structure: kexp's code, and the settings of Keras, JAX and XLA."""
    import jax
    import keras

    package = Path(__file__).parents[2]
    files = sorted(file for name in _TRACED_CODE for file in _python_files(package / name))
    code = [f"{file.relative_to(package)} {(status := file.stat()).st_size} {status.st_mtime_ns}" for file in files]
    settings = [keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format()]
    flags = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(("JAX_", "XLA_")))
    return "\n".join([*code, repr(settings), repr(sorted(jax.config.values.items())), *flags])


def _python_files(path: Path) -> list[Path]:
    return [path] if path.suffix else list(path.rglob("*.py"))

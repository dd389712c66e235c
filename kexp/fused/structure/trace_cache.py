"""What earlier processes found by tracing a structure, kept beside the compiled programs.

Tracing Keras' steps takes longer than reading the compiled program back. Only models of Keras' and kexp's own
components are kept: what someone else's code computes may change without its version.
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

_OURS = {"keras", "kexp"}
_TRACED = ("fused", "training", "model", "components", "losses.py", "build.py")  # whose code decides what is traced


def cache_file(kind: str, prepared: Prepared, *parts: Any) -> Path | None:
    """The file that has what was found; it may not be there.

    Args:
        kind: what is kept.
        prepared: the representative.
        parts: what tells one finding from another, besides the structure; each with a `repr` that tells it.

    Returns:
        None where nothing may be kept.
    """
    experiment, folder = prepared.experiment, trace_cache_folder()
    if folder is None:
        return None
    modules = {module.partition(".")[0] for node in experiment.nodes() for module in node.modules}
    if not {*modules, *(node.component.distribution for node in experiment.nodes())} <= _OURS:
        return None
    content = "\n".join([kind, _surroundings(), structure_key(prepared), *map(repr, parts)])
    return folder / f"{kind}-{hashlib.sha256(content.encode()).hexdigest()}.known"


def trace_cache_folder() -> Path | None:
    """The folder of what is kept; None on devices other than one CPU, and where the user has a cache of their own."""
    import jax

    folder = use_compilation_cache()
    return folder if folder == cache_folder() and jax.default_backend() == "cpu" and device_count() == 1 else None


def read_cached(file: Path | None) -> Mapping[str, Any] | None:
    """What `write_cached` has kept; None where there is nothing that can be read."""
    with contextlib.suppress(Exception):  # by another version of Python, say: it is found again
        return None if file is None else pickle.loads(file.read_bytes())
    return None


def write_cached(file: Path | None, content: Mapping[str, Any]) -> None:
    """Keeps what was found, where it may be kept."""
    from kexp.persistence.atomic import write_atomically

    if file is not None:
        with contextlib.suppress(Exception):  # a full disk, say, or something that cannot be pickled: found again
            write_atomically(file, pickle.dumps(content))


@functools.cache
def _surroundings() -> str:
    """What traces depend on besides the structure: settings, and the code as it stands."""
    import jax
    import keras

    package = Path(__file__).parents[2]
    files = sorted(file for name in _TRACED for file in _python_files(package / name))
    code = [f"{file.relative_to(package)} {(about := file.stat()).st_size} {about.st_mtime_ns}" for file in files]
    settings = [keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format()]
    flags = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(("JAX_", "XLA_")))
    return "\n".join([*code, repr(settings), repr(sorted(jax.config.values.items())), *flags])


def _python_files(path: Path) -> list[Path]:
    return [path] if path.suffix else list(path.rglob("*.py"))

"""The compilation cache on disk: a program is compiled once, and later processes load it."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

from kexp.system import folders

__all__ = ["cache_folder", "use_compilation_cache"]

# Part of the folder's name. Changed when kexp's own files beside JAX's get another format.
_FORMAT = "programs 1"


def cache_folder() -> Path:
    """Returns the folder of compiled programs: a folder of the user's own, for these versions and this processor.

    Compiled programs are executable code, so nobody else may write there. A program for another processor may fail
    with an illegal instruction, so the processor's features are part of the name. `KEXP_CACHE` sets another parent
    folder.
    """
    parts = [
        _FORMAT,
        version("keras"),
        version("jax"),
        version("jaxlib"),
        platform.python_version(),
        platform.machine(),
        _features(),
    ]
    return folders.cache_folder() / "compiled" / hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def use_compilation_cache() -> Path | None:
    """Turns on JAX's persistent cache for this process, in `cache_folder` unless the user has set another folder.

    Returns:
        The folder; None if it cannot be created, or belongs to another user.
    """
    import jax

    if jax.config.jax_compilation_cache_dir:
        return Path(jax.config.jax_compilation_cache_dir)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            return None
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _features() -> str:
    """Returns the processor's features as Linux lists them, or its name on other systems."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return " ".join(sorted(line.partition(":")[2].split()))
    except OSError:
        pass
    return platform.processor()

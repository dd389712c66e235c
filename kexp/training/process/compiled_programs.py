"""The compilation cache: programs compiled once are read back by later processes."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

from kexp.system import folders

__all__ = ["cache_folder", "use_compilation_cache"]


_FORM = "programs 1"  # of what is kept beside JAX's own files; programs that were compiled without it are not found


def cache_folder() -> Path:
    """Where compiled programs are kept: a folder of the user's own, for these versions and this processor.

    Compiled programs are executable code, so nobody else may write there; and a program compiled for another processor
    may stop this one with an illegal instruction, so its features are part of the name. `KEXP_CACHE` names another
    parent folder.
    """
    parts = [
        _FORM,
        version("keras"),
        version("jax"),
        version("jaxlib"),
        platform.python_version(),
        platform.machine(),
        _features(),
    ]
    return folders.cache_folder() / "compiled" / hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def use_compilation_cache() -> Path | None:
    """Turns JAX's persistent cache on for this process, unless the user has set one or the folder cannot be made.

    Returns:
        The folder, or None where there is none.
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
    """What this processor can do, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return " ".join(sorted(line.partition(":")[2].split()))
    except OSError:
        pass
    return platform.processor()

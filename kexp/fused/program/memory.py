"""How much memory lanes may take, and how many of them fit.

The limit is of what the machine or the GPU has in all, not of what is free just now: the width of a program is part of
its results' bits, so that it must come out the same every time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["is_out_of_memory", "memory_limit", "peak_bytes"]

_SHARE = 0.75  # the rest is the system's, the sweep's other processes', and what the compiled programs do not tell of
_EXHAUSTED = ("RESOURCE_EXHAUSTED", "Out of memory")  # on a CPU an internal error, found out where a result is read
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_limit(given_mb: int | None = None) -> int:
    """Bytes that data and programs may take on each device.

    Args:
        given_mb: `fused.memory_limit_mb`; by the machine unless given.
    """
    if given_mb is not None:
        return given_mb * 2**20
    import jax

    stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])  # JAX's own share of a GPU
    return int(_of_the_machine() * _SHARE)


def peak_bytes(compiled: Iterable[Any]) -> int:
    """The most that one of some compiled programs takes while it runs, its arguments and results included."""
    most = 0
    for each in compiled:
        found = each.memory_analysis()
        if found is not None:
            held = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
            most = max(most, held + found.temp_size_in_bytes)
    return most


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is how Python, JAX or a GPU say that memory has run out."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _EXHAUSTED)


def _of_the_machine() -> int:
    """Bytes of memory that this process could have: the machine's, or as many as its limits leave of them."""
    import psutil

    known = [int(psutil.virtual_memory().total)]
    for file in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):
            known.append(int(Path(file).read_text()))
    if os.name == "posix":
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            known.append(most)
    return min(known)

"""The memory that lanes may take.

The limit is a share of all memory of the machine or GPU, not of the memory that is free at the moment. Results depend
on the width of a program, so the width must be the same every time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["is_out_of_memory", "memory_limit", "peak_bytes"]

_SHARE = 0.75  # the rest is for the system, the sweep's other processes, and memory that XLA's analysis does not count
_EXHAUSTED = (
    "RESOURCE_EXHAUSTED",
    "Out of memory",
)  # on a CPU, an internal error that is raised where a result is read
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_limit(given_mb: int | None) -> int:
    """Returns the memory for data and programs on each device, bytes.

    Args:
        given_mb: `fused.memory_limit_mb`; None for a limit by the machine.
    """
    if given_mb is not None:
        return given_mb * 2**20
    import jax

    stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])  # the part of a GPU's memory that JAX reserves
    return int(_machine_bytes() * _SHARE)


def peak_bytes(compiled: Iterable[Any]) -> int:
    """Returns the memory of the largest of some programs by XLA's analysis, arguments and results included; bytes."""
    most = 0
    for each in compiled:
        found = each.memory_analysis()
        if found is not None:
            held = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
            most = max(most, held + found.temp_size_in_bytes)
    return most


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error of Python, JAX or a GPU says that memory has run out."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _EXHAUSTED)


def _machine_bytes() -> int:
    """Returns the memory of the machine, or of this process if its cgroup or `ulimit -v` allows less; bytes."""
    import psutil

    limits = [int(psutil.virtual_memory().total)]
    for file in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(file).read_text()))
    if os.name == "posix":
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            limits.append(most)
    return min(limits)

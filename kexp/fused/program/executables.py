"""Compiled programs on disk: later processes load them without tracing the structure again.

A program's file is named by a hash of the lowered program. JAX has a cache of its own, which is asked first; but a
program that JAX has loaded from it cannot be serialized again.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from kexp.fused.functional.lowering import compile_fast
from kexp.fused.inputs.symbols import TraceResult
from kexp.fused.program.lane_starts import LaneStarts
from kexp.fused.structure.structure import Structure
from kexp.fused.structure.trace_cache import cache_file, read_cached, trace_cache_folder, write_cached
from kexp.system.cache_limit import make_room_for_files

__all__ = ["Executables", "compile_or_load", "executables_file", "load", "save"]


class Executables(NamedTuple):
    """The compiled functions of a `Program` with a table of all data, and what tracing has found.

    Attributes:
        start: compiled `LaneStarts.start`.
        training: the compiled epoch.
        evaluations: number of rows -> the compiled evaluation.
        train_names: the names of the epoch's metrics.
        eval_names: the names of an evaluation's metrics.
        inputs: the inputs and branches; see `ProgramInputs.found`.
    """

    start: Any
    training: Any
    evaluations: dict[int, Any]
    train_names: list[str]
    eval_names: list[str]
    inputs: TraceResult


def executables_file(structure: Structure, starts: LaneStarts, shape: Sequence[Any]) -> Path | None:
    """Returns the file that lists the programs of a structure, which may not exist; None if they must not be cached.

    Args:
        structure: the structure.
        starts: the starts of its lanes, whose constants are part of the program.
        shape: the width and row counts for which they are compiled.
    """
    constants = hashlib.sha256()
    for position, value in sorted(starts.constants.items()):
        constants.update(f"{position} {value.dtype} {value.shape}".encode() + value.tobytes())
    functions = structure.functions
    bound_keys, plain_keys = [each.key for each in functions.bindings], sorted(functions.plain_keys, key=repr)
    parts = (structure.digest, *shape, starts.positions, bound_keys, plain_keys, constants.hexdigest())
    return cache_file("program", structure.blueprint.prepared, *parts)


def load(file: Path | None) -> Executables | None:
    """Loads the programs that `save` has listed; None if there are none, or if one cannot be loaded here."""
    cached = read_cached(file)
    if file is None or cached is None:
        return None
    start, training, *evaluations = loaded = [_load_program(file.parent / name) for name in cached["programs"]]
    if None in loaded:
        return None
    by_count, (train_names, eval_names) = dict(zip(cached["counts"], evaluations, strict=True)), cached["names"]
    return Executables(start, training, by_count, train_names, eval_names, cached["inputs"])


def save(file: Path | None, executables: Executables, programs: Sequence[str | None]) -> None:
    """Lists programs for later processes.

    Args:
        file: the result of `executables_file`.
        executables: the programs.
        programs: the names of their files, as `compile_or_load` returns them: start, training, evaluations.
    """
    if None not in programs:
        names = (executables.train_names, executables.eval_names)
        counts = [*executables.evaluations]
        content = {"programs": [*programs], "counts": counts, "names": names, "inputs": executables.inputs}
        write_cached(file, content)


def compile_or_load(lowered: Any, level: int | None = None) -> tuple[Any, str | None]:
    """Compiles a program, or loads it from disk.

    Args:
        lowered: a `jax.stages.Lowered`.
        level: XLA's optimization level, see `compile_fast`; None for JAX's default.

    Returns:
        The compiled program, and the name of its file; None if it is not on disk.
    """
    folder = trace_cache_folder()
    if folder is None:
        return _compile(lowered, level), None
    # Arguments that a program does not read, such as the state of lanes that begin, are not in its text.
    content = "\n".join([str(level), repr(lowered.args_info), str(lowered.out_tree), lowered.as_text()])
    name = f"{hashlib.sha256(content.encode()).hexdigest()}.program"
    program = _load_program(folder / name)
    if program is None:
        hits_before = len(_jax_cache_hits())
        program = _compile(lowered, level)
        if len(_jax_cache_hits()) == hits_before:
            with contextlib.suppress(Exception):
                from jax.experimental.serialize_executable import serialize

                write_cached(folder / name, {"program": serialize(program)})
                _make_room_once(folder.parent)
    return program, name if (folder / name).exists() else None


@cache
def _make_room_once(parent: Path) -> None:
    """Limits the size of the cache, in a process that adds to it."""
    make_room_for_files(parent)


def _compile(lowered: Any, level: int | None) -> Any:
    return lowered.compile() if level is None else compile_fast(lowered, level)


def _load_program(file: Path) -> Any | None:
    """Loads a compiled program; None if it cannot be loaded."""
    from jax.experimental.serialize_executable import deserialize_and_load

    cached = read_cached(file)
    with contextlib.suppress(Exception):  # it is compiled again
        return None if cached is None else deserialize_and_load(*cached["program"])
    return None


@cache
def _jax_cache_hits() -> list[str]:
    """Returns a list that grows by one whenever JAX loads a program from its own cache."""
    import jax

    hits: list[str] = []

    def listen(event: str, **_: Any) -> None:
        if event.endswith("/cache_hits"):
            hits.append(event)

    jax.monitoring.register_event_listener(listen)
    return hits

"""Compiled programs of earlier processes, taken up without tracing the structure again.

A program is kept by a digest of what was compiled. JAX has a cache of its own, which is asked first where there is
something to compile; but what it gives back cannot be written again.
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

__all__ = ["Executables", "compiled", "executables_file", "keep", "read"]


class Executables(NamedTuple):
    """What `Program` compiles for a table of all data, and what tracing has found.

    Attributes:
        start, train: compiled functions.
        evaluate: the compiled evaluation by its number of rows.
        train_names, eval_names: what their metrics are called.
        slots: the inputs and branches.
    """

    start: Any
    train: Any
    evaluate: dict[int, Any]
    train_names: list[str]
    eval_names: list[str]
    slots: TraceResult


def executables_file(structure: Structure, starts: LaneStarts, shape: Sequence[Any]) -> Path | None:
    """Where the programs are kept, if they are; `shape` tells the programs of a structure apart."""
    constants = hashlib.sha256()
    for place, value in sorted(starts.constants.items()):
        constants.update(f"{place} {value.dtype} {value.shape}".encode() + value.tobytes())
    lane = structure.lane
    bound_to, tracers = [place.key for place in lane.places], sorted(lane.tracers, key=repr)
    parts = (structure.digest, *shape, starts.places, bound_to, tracers, constants.hexdigest())
    return cache_file("program", structure.blueprint.prepared, *parts)


def read(file: Path | None) -> Executables | None:
    """The programs that were kept; None where they were not, or cannot be loaded here."""
    known = read_cached(file)
    if file is None or known is None:
        return None
    start, train, *evaluations = loaded = [_loaded(file.parent / name) for name in known["programs"]]
    if None in loaded:
        return None
    evaluate, (train_names, eval_names) = dict(zip(known["counts"], evaluations, strict=True)), known["names"]
    return Executables(start, train, evaluate, train_names, eval_names, known["slots"])


def keep(file: Path | None, made: Executables, programs: Sequence[str | None]) -> None:
    """Keeps what was made for later processes.

    Args:
        file: see `executables_file`.
        made: the programs.
        programs: the names of their files, in the order of start, train and evaluate, as `compiled` gives them.
    """
    if None not in programs:
        names = (made.train_names, made.eval_names)
        content = {"programs": [*programs], "counts": [*made.evaluate], "names": names, "slots": made.slots}
        write_cached(file, content)


def compiled(lowered: Any, level: int | None = None) -> tuple[Any, str | None]:
    """Compiles a program, or reads it back.

    Args:
        lowered: the program.
        level: as of `compile_fast`; None optimises as usual.

    Returns:
        The program, and the name of the file that it is kept in; None where it is not.
    """
    folder = trace_cache_folder()
    if folder is None:
        return _compile(lowered, level), None
    # What a program does not read, such as the state of lanes that begin, is not in its text.
    content = "\n".join([str(level), repr(lowered.args_info), str(lowered.out_tree), lowered.as_text()])
    name = f"{hashlib.sha256(content.encode()).hexdigest()}.program"
    program = _loaded(folder / name)
    if program is None:
        before = len(_read_back())
        program = _compile(lowered, level)
        if len(_read_back()) == before:
            with contextlib.suppress(Exception):
                from jax.experimental.serialize_executable import serialize

                write_cached(folder / name, {"program": serialize(program)})
    return program, name if (folder / name).exists() else None


def _compile(lowered: Any, level: int | None) -> Any:
    return lowered.compile() if level is None else compile_fast(lowered, level)


def _loaded(file: Path) -> Any | None:
    from jax.experimental.serialize_executable import deserialize_and_load

    known = read_cached(file)
    with contextlib.suppress(Exception):  # it is compiled again
        return None if known is None else deserialize_and_load(*known["program"])
    return None


@cache
def _read_back() -> list[str]:
    """Grows by one whenever JAX gives a program back from its own cache."""
    import jax

    found: list[str] = []

    def listen(event: str, **_: Any) -> None:
        if event.endswith("/cache_hits"):
            found.append(event)

    jax.monitoring.register_event_listener(listen)
    return found

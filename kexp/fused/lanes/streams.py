"""Streams trials of a group through the lanes of its program, which is as wide as the memory allows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kexp.fused.functional.lowering import device_count, put_on_devices
from kexp.fused.lanes.worker import OnEpoch, OnResume, Worker
from kexp.fused.program.blocks import Blocks, data_bytes
from kexp.fused.program.memory import is_out_of_memory, memory_limit
from kexp.fused.program.program import Program
from kexp.fused.program.tables import Tables
from kexp.fused.shared import TRACING_LOCK
from kexp.fused.structure.grouping import row_counts
from kexp.fused.structure.structure import Structure
from kexp.fused.trial import LaneResult, Trial

if TYPE_CHECKING:
    from kexp.experiment import Prepared

__all__ = ["Group", "Stream", "drive", "fed_in_blocks", "next_stream"]

# A block's share of the memory. For each program that runs, one block is in use, one waits and one is being read.
_BLOCK_SHARE = 1 / 16


@dataclass
class Group:
    """Trials that run as lanes of one program.

    Attributes:
        number: counted from 1.
        trials: the trials.
        why: what distinguishes it from other groups.
        width: number of lanes of the program; reduced if so many do not fit into memory.
        structure: the structure of the trials.
        is_width_given: whether the user chose the width. It is then reduced only if an allocation fails.
        narrowed: why the width was reduced; empty if it was not.
    """

    number: int
    trials: list[Trial]
    why: str
    width: int
    structure: Structure = field(repr=False)
    is_width_given: bool = False
    narrowed: str = ""


class Stream:
    """The waiting trials of a group, for the lanes of one or several threads.

    Args:
        group: the group.
        threads: the most threads that work on it.
        sharers: how many programs share the memory: the number that runs at once on this machine by default, and not
            the number that runs now, because the width must not depend on that.

    Attributes:
        free_threads: how many more threads can work on it.
    """

    def __init__(self, group: Group, threads: int, sharers: int) -> None:
        self.group, self.structure, self._sharers = group, group.structure, sharers
        self._waiting = deque(group.trials)
        self._lock = threading.Lock()
        self._building = threading.Lock()
        self._program: Program | None = None
        self.free_threads = max(1, min(threads, -(-len(group.trials) // group.width)))
        self._planned = (group.width, group.is_width_given)
        if self._planned in self.structure.fitting_widths:
            group.width, group.narrowed = self.structure.fitting_widths[self._planned]

    @property
    def number(self) -> int:
        """The number of the group."""
        return self.group.number

    @property
    def notice(self) -> str:
        """A notice on the width for each result; empty for none."""
        return self.group.narrowed

    def take(self) -> Trial | None:
        """Removes and returns the next trial; None if there is none."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def take_rest(self) -> list[Trial]:
        """Removes and returns all waiting trials."""
        with self._lock:
            trials = list(self._waiting)
            self._waiting.clear()
        return trials

    def give_back(self, trials: Sequence[Trial]) -> None:
        """Inserts trials at the front, to be run again."""
        with self._lock:
            self._waiting.extendleft(reversed(trials))

    def narrow(self, width: int, why: str) -> None:
        """Reduces the width of the next program, in later sweeps with this structure too."""
        with self._building:
            if width < self.group.width:
                self._narrow(width, why)

    def _narrow(self, width: int, why: str) -> None:
        self._program = None
        self.group.width, self.group.narrowed = width, f"{why}: {width} in place of {self._planned[0]} lanes"
        self.structure.fitting_widths[self._planned] = (width, self.group.narrowed)

    def program(self, tables: Tables) -> Program:
        """Returns the compiled program, as wide as the memory allows by XLA's analysis, before it is run."""
        with self._building:
            while self._program is None:
                program = self._compiled(tables)
                room = self._room(tables)
                if program.size_bytes > room and program.width > 1 and not self.group.is_width_given:
                    del self.structure.programs[program.width]
                    size = f"{program.size_bytes / 2**20:.0f} of {room / 2**20:.0f} MiB"
                    self._narrow(program.width // 2, f"{program.width} lanes would take {size} of memory")
                else:
                    self._program = program
            return self._program

    def _compiled(self, tables: Tables) -> Program:
        """Returns the program of the group's width, compiled unless an earlier group of the structure did."""
        first, width = self.group.trials[0].prepared, self.group.width
        if width not in self.structure.programs:
            self.structure.programs[width] = Program(
                self.structure,
                width,
                self._data(tables),
                row_counts(first),
                first.experiment.trainer.class_weight is not None,
                tables.first_batches(first, 1)[0],
            )
        program: Program = self.structure.programs[width]
        return program

    def _data(self, tables: Tables) -> Any:
        """Returns the table of the whole data on the device, or its blocks."""
        first, width = self.group.trials[0].prepared, self.group.width
        if not fed_in_blocks(first):
            return tables.table(first)
        return Blocks(first, width, int(_limit(first) * _BLOCK_SHARE), lambda arrays: put_on_devices(arrays, width))

    def _room(self, tables: Tables) -> int:
        """Returns the memory for one program on each device, bytes."""
        first = self.group.trials[0].prepared
        data = 0 if fed_in_blocks(first) else tables.size_bytes(first)
        return max(0, _limit(first) - data) // self._sharers


def drive(
    stream: Stream,
    tables: Tables,
    on_epoch: OnEpoch,
    on_resume: OnResume,
    emit: Callable[[LaneResult], None],
    stop: threading.Event,
) -> None:
    """Runs the trials of a group until none is left. If memory runs out, continues with half the lanes.

    Args:
        stream: the trials of the group.
        tables: the data on the device.
        on_epoch: see `Worker`.
        on_resume: see `Worker`.
        emit: receives each result.
        stop: when it is set, no further epoch is started.
    """
    while True:
        worker, width = None, stream.group.width
        try:
            program = stream.program(tables)
            width = program.width
            worker = Worker(program, stream, on_epoch, emit, stop, on_resume)
            return worker.run()
        except Exception as error:
            stream.give_back(worker.unfinished() if worker is not None else [])
            if not is_out_of_memory(error) or width <= 1:
                raise
            stream.narrow(width // 2, f"memory ran out in a program of {width} lanes")


def next_stream(streams: deque[Stream]) -> Stream | None:
    """Assigns this thread to the first group that one more thread can work on; None if there is none.

    Args:
        streams: the groups; one that no further thread can work on is removed.
    """
    with TRACING_LOCK:
        if not streams:
            return None
        stream = streams[0]
        if stream.free_threads <= 1:
            streams.popleft()
        stream.free_threads -= 1
        return stream


def fed_in_blocks(prepared: Prepared) -> bool:
    """Returns whether a trial's data is read in blocks, because it would take more than half of the memory limit."""
    return data_bytes(prepared) > _limit(prepared) // 2


def _limit(prepared: Prepared) -> int:
    """Returns the memory for data and programs on each device, bytes."""
    import jax

    limit = memory_limit(prepared.experiment.fused.memory_limit_mb)
    # All devices of a CPU share its memory.
    return limit // device_count() if jax.default_backend() == "cpu" else limit

"""Groups at work: trials of a group go into the lanes of its program, which is as wide as memory allows."""

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

_BLOCK_SHARE = 16  # of the memory: one is trained on, one waits and one is read, and so for each program that runs


@dataclass
class Group:
    """Trials that run as lanes of one program.

    Attributes:
        number: counted from 1.
        trials: which.
        why: what makes it a group of its own.
        width: lanes of the program; fewer after the run than before it where so many did not fit into memory.
        given: the width was asked for, so that nothing but an allocation that fails makes it less.
        narrowed: why the width is less than it was; empty where it is not.
    """

    number: int
    trials: list[Trial]
    why: str
    width: int
    structure: Structure | None = field(default=None, repr=False)
    given: bool = False
    narrowed: str = ""


class Stream:
    """A group's trials, handed out to the lanes of one or several threads.

    Args:
        group: the group.
        threads: how many threads work at most.
        sharers: programs that share the memory: as many as run at once on this machine, whatever runs now, for the
            width must not depend on it.
    """

    def __init__(self, group: Group, threads: int, sharers: int) -> None:
        self.group, self._sharers = group, sharers
        self._waiting = deque(group.trials)
        self._lock = threading.Lock()
        self._building = threading.Lock()
        self._program: Program | None = None
        self.places = max(1, min(threads, -(-len(group.trials) // group.width)))
        assert group.structure is not None
        self.structure = group.structure
        self._asked = (group.width, group.given)
        if self._asked in self.structure.fitting:
            group.width, group.narrowed = self.structure.fitting[self._asked]

    @property
    def number(self) -> int:
        return self.group.number

    @property
    def notice(self) -> str:
        """What a result of this group should say of its width."""
        return self.group.narrowed

    def take(self) -> Trial | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def left(self) -> list[Trial]:
        """Takes all that wait: their program has failed."""
        with self._lock:
            trials = list(self._waiting)
            self._waiting.clear()
        return trials

    def give_back(self, trials: Sequence[Trial]) -> None:
        """Trials to be run again."""
        with self._lock:
            self._waiting.extendleft(reversed(trials))

    def narrow(self, width: int, why: str) -> None:
        """The next program has fewer lanes, and so have those that later sweeps make of this structure."""
        with self._building:
            if width < self.group.width:
                self._narrow(width, why)

    def _narrow(self, width: int, why: str) -> None:
        self._program = None
        self.group.width, self.group.narrowed = width, f"{why}: {width} in place of {self._asked[0]} lanes"
        self.structure.fitting[self._asked] = (width, self.group.narrowed)

    def program(self, tables: Tables) -> Program:
        """The compiled program, as wide as fits: by what the compiler says that it takes, before it is run."""
        with self._building:
            while self._program is None:
                made = self._made(tables)
                room = self._room(tables)
                if made.size_bytes > room and made.width > 1 and not self.group.given:
                    del self.structure.programs[made.width]
                    size = f"{made.size_bytes / 2**20:.0f} of {room / 2**20:.0f} MiB"
                    self._narrow(made.width // 2, f"{made.width} lanes would take {size} of memory")
                else:
                    self._program = made
            return self._program

    def _made(self, tables: Tables) -> Program:
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
        """The whole data on the device, or its blocks."""
        first, width = self.group.trials[0].prepared, self.group.width
        if not fed_in_blocks(first):
            return tables.of(first)
        return Blocks(first, width, _limit(first) // _BLOCK_SHARE, lambda arrays: put_on_devices(arrays, width))

    def _room(self, tables: Tables) -> int:
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
    """Works at a group until it is done; with half the lanes where memory runs out."""
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
    """The next group with a place for one more thread."""
    with TRACING_LOCK:
        while streams:
            stream = streams[0]
            if stream.places <= 1:
                streams.popleft()
            stream.places -= 1
            return stream
    return None


def fed_in_blocks(prepared: Prepared) -> bool:
    """Whether a trial's data is fed in blocks: it would take more than half of the memory that there is for it."""
    return data_bytes(prepared) > _limit(prepared) // 2


def _limit(prepared: Prepared) -> int:
    """Memory for data and programs, bytes on each device."""
    import jax

    limit = memory_limit(prepared.experiment.fused.memory_limit_mb)
    # All of a CPU's devices are in the same memory.
    return limit // device_count() if jax.default_backend() == "cpu" else limit

"""The end of a run, told truly: FINISHED only when it finished, whatever ended it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from kexp.errors import first_line
from kexp.system.interrupts import interrupts_call
from kexp.tracking.record.tracker import Tracker

__all__ = ["Terminated", "ended_with", "run_status", "sigterm_raises"]


class Terminated(SystemExit):
    """SIGTERM, as an exception, so that what is open gets closed. Unhandled, it ends the process with code 143."""

    def __init__(self) -> None:
        super().__init__(143)


@contextlib.contextmanager
def run_status(tracker: Tracker) -> Iterator[Tracker]:
    """Ends `tracker` with the block, by SIGTERM too.

    SIGTERM is caught only where Python allows it, in the main thread, and is given back afterwards.
    """
    with sigterm_raises(), ended_with(tracker):
        yield tracker


@contextlib.contextmanager
def ended_with(tracker: Tracker) -> Iterator[None]:
    """Ends `tracker` with the block: FINISHED after its last line, KILLED by Ctrl-C or SIGTERM, else FAILED."""
    try:
        yield
    except KeyboardInterrupt:
        tracker.end("KILLED", "interrupted (Ctrl-C)")
        raise
    except Terminated:
        tracker.end("KILLED", "terminated (SIGTERM)")
        raise
    except SystemExit as error:
        tracker.end("FAILED", f"the process was told to exit with {error.code!r}")
        raise
    except BaseException as error:
        tracker.end("FAILED", f"{type(error).__name__}: {first_line(error)}")
        raise
    tracker.end("FINISHED")


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """Turns SIGTERM into `Terminated` within the block, in the main thread; elsewhere Python allows no handler."""

    def terminate() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the run is ending, and needs its last moment
        raise Terminated

    with interrupts_call(terminate, [signal.SIGTERM]):
        yield

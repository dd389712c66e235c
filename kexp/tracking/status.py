"""Sets the status of a run at its end: FINISHED only if it finished."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from kexp.errors import first_line
from kexp.system.interrupts import interrupts_call
from kexp.tracking.record.tracker import Tracker

__all__ = ["Terminated", "ended_with", "run_status", "sigterm_raises"]


class Terminated(SystemExit):
    """SIGTERM as an exception, so that everything open is closed. Unhandled, it ends the process with code 143."""

    def __init__(self) -> None:
        super().__init__(143)


@contextlib.contextmanager
def run_status(tracker: Tracker) -> Iterator[Tracker]:
    """Ends a tracker at the end of the block, also on SIGTERM.

    Python can catch SIGTERM only in the main thread. The earlier handler is restored afterwards.
    """
    with sigterm_raises(), ended_with(tracker):
        yield tracker


@contextlib.contextmanager
def ended_with(tracker: Tracker) -> Iterator[None]:
    """Ends a tracker at the end of the block: FINISHED, KILLED on Ctrl-C or SIGTERM, FAILED on any other error."""
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
    """Turns SIGTERM into `Terminated` within the block, if it runs in the main thread."""

    def terminate() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second SIGTERM must not interrupt the end of the run
        raise Terminated

    with interrupts_call(terminate, [signal.SIGTERM]):
        yield

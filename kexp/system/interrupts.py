"""Defers, ignores or redirects Ctrl-C and SIGTERM for a block that must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["deferred_interrupts", "interrupts_call", "no_interrupts"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Defers signals that arrive within the block until its end."""
    arrived: list[tuple[int, FrameType | None]] = []
    before = _handle(lambda number, frame: arrived.append((number, frame)))
    try:
        yield
    finally:
        _restore(before)
        for number, frame in arrived[:1]:
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            elif handler == signal.SIG_DFL:
                signal.raise_signal(number)


@contextmanager
def no_interrupts(signals: Sequence[signal.Signals] = _SIGNALS) -> Iterator[None]:
    """Ignores signals within the block, for an end that is already under way: a second Ctrl-C would lose data.

    Args:
        signals: the signals to ignore.
    """
    before = _handle(lambda number, frame: None, signals)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def interrupts_call(
    handler: Callable[[], None], signals: Sequence[signal.Signals] = (signal.SIGINT,)
) -> Iterator[None]:
    """Makes Ctrl-C, or another signal, within the block call `handler` and do nothing else."""
    before = _handle(lambda number, frame: handler(), signals)
    try:
        yield
    finally:
        _restore(before)


def _handle(handler: Any, signals: Sequence[signal.Signals] = _SIGNALS) -> dict[signal.Signals, Any]:
    """Sets a handler and returns the previous ones; does nothing outside the main thread, which alone gets signals."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in signals}


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)

"""Ctrl-C and SIGTERM at moments that must not be cut in two."""

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
    """What arrives within the block takes effect right after it."""
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
    """The sweep is ending already; asking again changes nothing, and would cost what is not written yet."""
    before = _handle(lambda number, frame: None, signals)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def interrupts_call(told: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C within the block calls `told`, and nothing else."""
    before = _handle(lambda number, frame: told(), [signal.SIGINT])
    try:
        yield
    finally:
        _restore(before)


def _handle(handler: Any, signals: Sequence[signal.Signals] = _SIGNALS) -> dict[signal.Signals, Any]:
    """Python takes handlers in the main thread alone; signals interrupt no other."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in signals}


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)

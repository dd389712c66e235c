"""One live line while training: epoch, metrics, time left. Plain lines where there is no terminal and no notebook."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from kexp.notebook import standing_text

if TYPE_CHECKING:
    from kexp.training.history import History

__all__ = ["Progress", "format_metrics", "format_seconds", "progress"]

_REDRAW_S = 0.1
_NARROWEST = 10


class Progress:
    """A listener of `fit` that tells of each epoch as it ends, and of steps where epochs are long.

    Args:
        epochs: the last epoch's number.
        first: how many epochs were done before.
        verbose: 0 silent, 1 one live line, 2 a line each epoch.
        out: where to write; standard error unless given.
    """

    def __init__(self, epochs: int, first: int = 0, verbose: int = 1, out: TextIO | None = None) -> None:
        self.epochs, self.first, self.verbose = epochs, first, verbose
        self.out = out or sys.stderr
        self._show = standing_text() if verbose == 1 and out is None else None
        terminal = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.live = verbose == 1 and (self._show is not None or terminal)
        self.started = time.monotonic()
        self._measured_from: tuple[float, float] | None = None
        self._told = 0.0
        self._epoch_line, self._is_told = "", True

    def __call__(self, epoch: int, metrics: Mapping[str, float], /) -> None:
        """An epoch has ended."""
        if not self.verbose:
            return
        self._epoch_line, self._is_told = self._line(epoch, "", metrics, self._left_s(epoch)), False
        if self._is_time(epoch):
            self._tell(self._epoch_line)
            self._is_told = True

    def step(self, epoch: int, step: int, steps: int, metrics: Mapping[str, float], /) -> None:
        """A part of an epoch is done; only a live line shows it."""
        left = self._left_s(epoch - 1 + step / steps)
        if self.live and time.monotonic() - self._told >= _REDRAW_S:
            self._tell(self._line(epoch, f" step {step:>{len(str(steps))}}/{steps}", metrics, left))
            self._is_told = False

    def resumed(self, history: History, /) -> None:
        """Epochs that a checkpoint brought back count as done, and not into the time that an epoch takes."""
        self.first = history.resumed_from
        if self.verbose and history.resumed_from < self.epochs and not history.stopped:
            self.out.write(f"resumed after epoch {history.resumed_from}\n")

    def close(self) -> None:
        """Leaves the last epoch's line standing."""
        if self._epoch_line and not self._is_told:
            self._tell(self._epoch_line)
        elif self.live and self._told and not self._epoch_line:
            self._tell("")  # steps of an epoch that never ended
        if self.live and self._epoch_line and self._show is None:
            self._write("\n")

    def _line(self, epoch: int, within: str, metrics: Mapping[str, float], left_s: float | None) -> str:
        """The line, at most as wide as the terminal: metrics that do not fit are left out, the longest names first."""
        head = f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}{within}"
        tail = "" if left_s is None or (epoch == self.epochs and not within) else f"  {format_seconds(left_s)} left"
        shown = format_metrics(metrics).split("  ") if metrics else []
        while shown and self.live and len("  ".join([head, *shown])) + len(tail) > self._width():
            rest = [text for text in shown if "loss " not in text] or shown
            shown.remove(max(rest, key=len))
        line = "  ".join([head, *shown]) + tail
        return line[: self._width()] if self.live else line

    def _left_s(self, done: float) -> float | None:
        """Seconds until the last epoch, `done` epochs being done; None while there is nothing to go by.

        What comes before the first call has loaded data and compiled the step, and tells nothing about the rest.
        """
        if self._measured_from is None:
            self._measured_from = (done, time.monotonic())
        from_epoch, from_time = self._measured_from
        if done <= from_epoch:
            return None
        return (time.monotonic() - from_time) / (done - from_epoch) * (self.epochs - done)

    def _is_time(self, epoch: int) -> bool:
        """Live lines ten times a second; plain ones at first and last, between them ever more seldom."""
        now = time.monotonic()
        if self.live:
            return epoch == self.epochs or now - self._told >= _REDRAW_S
        if self.verbose == 2 or epoch in (self.first + 1, self.epochs):
            return True
        return now - self._told >= max(2.0, (now - self.started) / 20)

    def _tell(self, line: str) -> None:
        self._told = time.monotonic()
        if self._show is not None:
            self._show(line)
        else:
            self._write(f"\r\x1b[2K{line}" if self.live else f"{line}\n")

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()

    def _width(self) -> int:
        """Columns to write in: one less than there are, so that no terminal wraps the line."""
        try:
            columns = os.get_terminal_size(self.out.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return max(_NARROWEST, (columns or 80) - 1)


@contextmanager
def progress(epochs: int, first: int = 0, verbose: int = 1) -> Iterator[Progress]:
    """A Progress that leaves the terminal in order, however training ends."""
    teller = Progress(epochs, first, verbose)
    try:
        yield teller
    finally:
        teller.close()


def format_metrics(metrics: Mapping[str, float]) -> str:
    """`loss 0.1234  val_loss 0.2345`."""
    return "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())


def format_seconds(seconds: float) -> str:
    """`3.2s`, `1m05s`, `2h10m`."""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"

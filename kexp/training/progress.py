"""Progress of a training: one live line with epoch, metrics and time left; plain lines without a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from kexp.system.notebook import updating_text

if TYPE_CHECKING:
    from kexp.training.history import History

__all__ = ["Progress", "format_metrics", "format_seconds", "progress"]

_REDRAW_S = 0.1
_NARROWEST = 10


class Progress:
    """A listener of `fit` that shows each epoch as it ends, and the steps of long epochs.

    Args:
        epochs: the last epoch's number.
        first: epochs done before.
        verbose: 0 shows nothing, 1 one live line, 2 a line for each epoch.
        out: the stream to write to; standard error by default.
    """

    def __init__(self, epochs: int, first: int = 0, verbose: int = 1, out: TextIO | None = None) -> None:
        self.epochs, self.first, self.verbose = epochs, first, verbose
        self.out = out or sys.stderr
        self._show = updating_text() if verbose == 1 and out is None else None
        terminal = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.live = verbose == 1 and (self._show is not None or terminal)
        self.started = time.monotonic()
        self._measured_from: tuple[float, float] | None = None
        self._shown_at = 0.0
        self._epoch_line, self._is_shown = "", True

    def __call__(self, epoch: int, metrics: Mapping[str, float], /) -> None:
        """Shows an epoch that has ended, if a line is due."""
        if not self.verbose:
            return
        self._epoch_line, self._is_shown = self._line(epoch, "", metrics, self._left_s(epoch)), False
        if self._is_due(epoch):
            self._show_line(self._epoch_line)
            self._is_shown = True

    def step(self, epoch: int, step: int, steps: int, metrics: Mapping[str, float], /) -> None:
        """Shows the steps done within an epoch, on a live line only."""
        left = self._left_s(epoch - 1 + step / steps)
        if self.live and time.monotonic() - self._shown_at >= _REDRAW_S:
            self._show_line(self._line(epoch, f" step {step:>{len(str(steps))}}/{steps}", metrics, left))
            self._is_shown = False

    def resumed(self, history: History, /) -> None:
        """Counts restored epochs as done, without counting them into the time per epoch."""
        self.first = history.resumed_from
        if self.verbose and history.resumed_from < self.epochs and not history.stopped:
            self.out.write(f"resumed after epoch {history.resumed_from}\n")

    def close(self) -> None:
        """Shows the last epoch's line for good and ends it."""
        if self._epoch_line and not self._is_shown:
            self._show_line(self._epoch_line)
        elif self.live and self._shown_at and not self._epoch_line:
            self._show_line("")  # clears the steps of an epoch that never ended
        if self.live and self._epoch_line and self._show is None:
            self._write("\n")

    def _line(self, epoch: int, within: str, metrics: Mapping[str, float], left_s: float | None) -> str:
        """Returns the line, at most as wide as the terminal: metrics with the longest text are left out first."""
        head = f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}{within}"
        tail = "" if left_s is None or (epoch == self.epochs and not within) else f"  {format_seconds(left_s)} left"
        shown = format_metrics(metrics).split("  ") if metrics else []
        while shown and self.live and len("  ".join([head, *shown])) + len(tail) > self._width():
            rest = [text for text in shown if "loss " not in text] or shown
            shown.remove(max(rest, key=len))
        line = "  ".join([head, *shown]) + tail
        return line[: self._width()] if self.live else line

    def _left_s(self, done: float) -> float | None:
        """Estimates the seconds to the end of the last epoch when `done` epochs are done; None before the second call.

        The time before the first call is not counted: it went into loading data and compiling the step.
        """
        if self._measured_from is None:
            self._measured_from = (done, time.monotonic())
        from_epoch, from_time = self._measured_from
        if done <= from_epoch:
            return None
        return (time.monotonic() - from_time) / (done - from_epoch) * (self.epochs - done)

    def _is_due(self, epoch: int) -> bool:
        """Returns whether to show a line: ten a second if live, else the first, the last and ever fewer between."""
        now = time.monotonic()
        if self.live:
            return epoch == self.epochs or now - self._shown_at >= _REDRAW_S
        if self.verbose == 2 or epoch in (self.first + 1, self.epochs):
            return True
        return now - self._shown_at >= max(2.0, (now - self.started) / 20)

    def _show_line(self, line: str) -> None:
        self._shown_at = time.monotonic()
        if self._show is not None:
            self._show(line)
        else:
            self._write(f"\r\x1b[2K{line}" if self.live else f"{line}\n")

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()

    def _width(self) -> int:
        """Returns the columns to use: one less than the terminal has, so that it does not wrap the line."""
        try:
            columns = os.get_terminal_size(self.out.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return max(_NARROWEST, (columns or 80) - 1)


@contextmanager
def progress(epochs: int, first: int = 0, verbose: int = 1) -> Iterator[Progress]:
    """Yields a `Progress` and closes it, however training ends; arguments as of `Progress`."""
    line = Progress(epochs, first, verbose)
    try:
        yield line
    finally:
        line.close()


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Formats metrics as `loss 0.1234  val_loss 0.2345`."""
    return "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())


def format_seconds(seconds: float) -> str:
    """Formats seconds as `3.2s`, `1m05s` or `2h10m`."""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"

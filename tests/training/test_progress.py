"""The live line on a real pseudo-terminal, and plain lines elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from kexp.training.history import History
from kexp.training.progress import Progress, format_seconds, progress

METRICS = {"loss": 0.123456, "accuracy": 0.98765, "val_loss": 0.2, "val_accuracy": 0.9}


class Terminal:
    """A pseudo-terminal of a given width."""

    def __init__(self, columns: int) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.out: TextIO = os.fdopen(slave, "w")

    def written(self) -> str:
        os.set_blocking(self.master, False)
        parts = []
        while True:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                break
            if not part:
                break
            parts.append(part)
        return b"".join(parts).decode()


def screen(written: str) -> list[str]:
    """The lines that stand on the terminal at the end, carriage returns and erasures obeyed."""
    lines = [""]
    for token in re.findall(r"\x1b\[2K|\r\n|\r|[^\r\x1b]+", written):
        if token == "\r\n":
            lines.append("")
        elif token == "\x1b[2K":
            lines[-1] = ""
        elif token != "\r":
            lines[-1] += token
    return lines


@pytest.fixture(params=[200, 80, 40, 15])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    made = Terminal(request.param)
    made.columns = request.param  # type: ignore[attr-defined]
    yield made
    made.out.close()
    os.close(made.master)


def test_a_live_line_never_passes_the_terminals_width_and_leaves_one_line(terminal: Terminal) -> None:
    teller = Progress(epochs=12, out=terminal.out)
    teller.step(1, 5, 100, METRICS)
    for epoch in range(1, 13):
        teller(epoch, METRICS)
    teller.close()
    written = terminal.written()
    assert all(len(line) < terminal.columns for line in re.split(r"\r\n|\r\x1b\[2K", written))  # type: ignore[attr-defined]
    lines = screen(written)
    assert lines[1:] == [""]
    assert lines[0].startswith("epoch 12/12")
    assert "left" not in lines[0]


def test_a_live_line_shows_steps_loss_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(80)
    teller = Progress(epochs=3, out=terminal.out)
    teller(1, METRICS)
    time.sleep(0.11)
    teller.step(2, 50, 100, {"loss": 0.5})
    assert re.search(r"epoch 2/3 step  50/100  loss 0\.5  [\d.]+s left", screen(terminal.written())[-1])
    terminal.out.close()


def test_an_epoch_that_never_ends_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(80)
    teller = Progress(epochs=3, out=terminal.out)
    teller.step(1, 1, 9, {"loss": 0.5})
    teller.close()
    assert screen(terminal.written()) == [""]
    terminal.out.close()


def test_training_that_ends_early_leaves_its_last_epoch_standing() -> None:
    out = io.StringIO()
    teller = Progress(epochs=9, out=out)
    for epoch in (1, 2, 3):
        teller(epoch, METRICS)
    teller.close()
    assert [line.split("  ")[0] for line in out.getvalue().splitlines()] == ["epoch 1/9", "epoch 3/9"]


def test_plain_lines_hold_every_metric_and_no_control_characters() -> None:
    out = io.StringIO()
    teller = Progress(epochs=2, verbose=2, out=out)
    teller(1, METRICS)
    teller(2, METRICS)
    teller.close()
    first, second = out.getvalue().splitlines()
    assert "loss 0.1235  accuracy 0.9877  val_loss 0.2  val_accuracy 0.9" in first
    assert second == "epoch 2/2  loss 0.1235  accuracy 0.9877  val_loss 0.2  val_accuracy 0.9"


def test_verbose_0_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with progress(3, verbose=0) as teller:
        teller.resumed(History(resumed_from=1))
        teller.step(2, 1, 2, METRICS)
        teller(2, METRICS)
    assert capfd.readouterr() == ("", "")


def test_time_left_counts_from_where_training_was_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of one second, seven from a checkpoint, the eighth slowed by compiling: after nine of ten, one is left."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    out = io.StringIO()
    teller = Progress(epochs=10, verbose=2, out=out)
    now += 5.0
    teller.resumed(History(resumed_from=7))
    for epoch, seconds in ((8, 20.0), (9, 1.0)):
        now += seconds
        teller(epoch, METRICS)
    teller.close()
    assert out.getvalue().splitlines()[0] == "resumed after epoch 7"
    assert "left" not in out.getvalue().splitlines()[1]
    assert out.getvalue().endswith("1.0s left\n")


def test_time_left_forgets_the_first_epochs_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    out = io.StringIO()
    teller = Progress(epochs=12, verbose=2, out=out)
    for epoch, seconds in ((1, 30.0), (2, 1.0)):
        now += seconds
        teller(epoch, METRICS)
    assert out.getvalue().endswith("10s left\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0s"), (9.94, "9.9s"), (59.4, "59s"), (65, "1m05s"), (7805, "2h10m")]
)
def test_seconds_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text

"""What the engine's process says while programs end epochs in several threads: each epoch, before its trial's end."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from kexp.sweeps.launch.lanes.messages import Epochs
from kexp.sweeps.launch.lanes.reports import Reports
from kexp.sweeps.trials import Outcome, Task

EPOCHS, TRIALS = 5, 300


class SlowPipe:
    """Keeps what is sent; a message takes long enough for other threads to run meanwhile."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.asked: list[int] = []

    def send(self, message: Any) -> None:
        time.sleep(0.0005)
        self.sent.append(message)
        if isinstance(message, Epochs) and message.ask:
            self.asked.append(message.epochs[-1][0])

    def recv(self) -> Any:
        assert self.asked, "an answer is waited for, and nothing was asked"
        return str(self.asked.pop())


@pytest.mark.parametrize("ask", [False, True])
def test_no_epoch_is_lost_or_late_when_many_lanes_end_at_once(ask: bool) -> None:
    pipe = SlowPipe()
    reports = Reports(pipe)
    over: list[int] = []
    answers: list[tuple[int, str | None]] = []

    def programs() -> None:  # one thread at a time tells of epochs, as the engine promises
        for number in range(TRIALS):
            task = Task(number, {}, (), "", "", ask=ask)
            for epoch in range(1, EPOCHS + 1):
                answers.append((number, reports.epoch(task, epoch, {"loss": 0.1}, ask)))
            over.append(number)

    thread = threading.Thread(target=programs)
    thread.start()
    for number in range(TRIALS):
        while len(over) <= number and thread.is_alive():
            time.sleep(0)
        reports.send(Outcome(number, "FINISHED"))
    thread.join()
    told: dict[int, list[int]] = {}
    for message in pipe.sent:
        if isinstance(message, Outcome):
            assert told[message.number] == list(range(1, EPOCHS + 1))
        else:
            for number, epoch, _ in message.epochs:
                told.setdefault(number, []).append(epoch)
    assert len(told) == TRIALS and len(answers) == TRIALS * EPOCHS
    if ask:
        assert all(answer == str(number) for number, answer in answers)

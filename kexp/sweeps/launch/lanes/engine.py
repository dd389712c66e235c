"""The engine's process, as seen from the sweep: started early, sent batches of lanes, replaced when it dies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kexp.schema import Fused
from kexp.sweeps.early_engine import take_engine
from kexp.sweeps.events import Events
from kexp.sweeps.launch.lanes.estimates import Estimate, EstimateRequest, has_foreign_code
from kexp.sweeps.launch.lanes.lane_runner import LaneGroup, LaneRunner
from kexp.sweeps.launch.lanes.messages import Batch, CompileAhead, Epochs, Verified, Verify
from kexp.sweeps.launch.trial_run import too_long
from kexp.sweeps.launch.workers import WorkerError
from kexp.sweeps.trials import Outcome, Task

__all__ = ["Engine", "EngineProcess"]

_BATCH = 64  # trials of a batch for each lane, so that programs have work and memory stays bounded
_STARTS = 3  # after so many engines in a row that die before they train, no more is started
_DEATHS = 2  # after so many, trials with code that is not kexp's run in worker processes
_COMPILE_S = 300.0  # added to a trial's time limit: an engine that sends nothing for so long has hung


class EngineProcess:
    """A process with an engine. It is started before there is work for it, because importing JAX takes seconds."""

    def __init__(self) -> None:
        self.child = take_engine()
        self._lanes = 0

    def lanes(self) -> int:
        """Waits until the process is ready; returns how many trials it runs at once.

        Raises:
            EOFError: the process has died.
        """
        if not self._lanes:
            self._lanes = self.child.receive()
        return self._lanes

    def estimate(self, request: EstimateRequest) -> list[Estimate]:
        """Returns the estimated times of structures; empty if the process has died while it measured."""
        try:
            self.lanes()
            self.child.send(request)
            estimates: list[Estimate] = self.child.receive()
        except EOFError:
            return []
        return estimates

    def compile_ahead(self, request: CompileAhead) -> None:
        """Lets it compile the programs of a few tasks like those that will come."""
        self.child.send(request)

    def how_it_died(self) -> str:
        """Returns how the process died, for messages."""
        return self.child.how_it_died(with_error=not self._lanes)

    def close(self) -> None:
        """Ends the process."""
        self.child.terminate()
        self.child.close()


class Engine(LaneRunner):
    """Runs lanes in a process on this machine, which is replaced when it dies.

    Args:
        process: the first process.
        events: see `LaneRunner`, as for `fused` and `groups`.
    """

    def __init__(self, process: EngineProcess, events: Events, fused: Fused, groups: dict[str, LaneGroup]) -> None:
        super().__init__(events, fused, groups)
        self._process = process
        self._lanes = 0
        self._deaths = 0
        self._waiting: dict[int, Task] = {}

    def most(self, grows: bool) -> int:
        if grows:
            return self._lanes or (self.fused.max_lanes or 4) * (self.fused.threads or 2)
        return _BATCH * max(8, self._lanes)

    def run(self, batch: Sequence[Task], dry: bool = False) -> tuple[bool, list[tuple[Task, str]]]:
        self._waiting = {task.number: task for task in batch}
        self.refused = []
        going, starts = True, 0
        while going and self._waiting:
            try:
                self._start()
                starts = 0
                going = self._run_once(dry)
            except EOFError:
                reason = self._process.how_it_died()
                starts += 1
                if not self.begun and starts >= _STARTS:
                    going = self._give_up(reason)
                    continue
                going = self._after_death(reason)
        return going, self.refused

    def _give_up(self, reason: str) -> bool:
        """Refuses all waiting tasks, because no process stays alive; returns that the sweep continues.

        Raises:
            WorkerError: a task must be a lane.
        """
        if self.fused.strict or any(task.ordinary is None for task in self._waiting.values()):
            raise WorkerError(f"the process of the lanes does not stay: {reason}") from None
        for number in list(self._waiting):
            self.refuse(number, f"the process of the lanes does not stay: {reason}", self._waiting)
        return True

    def _run_once(self, dry: bool) -> bool:
        """Sends the waiting tasks, and handles reports until all have ended; returns whether the sweep continues."""
        tasks = list(self._waiting.values())
        log = tasks[0].sweep_folder / "fused.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self.begun = set()
        fused, limit_s = self.fused, self.events.settings.trial_timeout_s
        self._process.child.send(Batch(tasks, str(log), limit_s, dry, fused.threads, fused.verify))
        while (message := self._next()) is not None:
            if not self.receive(message, self._waiting):
                return False
            if isinstance(message, Epochs) and message.ask:
                self._process.child.send(self.answer)
        self._waiting = {}
        return True

    def verify(self) -> Verified:
        try:
            self._process.child.send(Verify())
            verified: Verified = self._process.child.receive()
        except EOFError:
            return Verified(0, ())
        return verified

    def _next(self) -> Any:
        """Returns the next report.

        Raises:
            EOFError: the process has died, or has hung and was killed.
        """
        limit_s = self.events.settings.trial_timeout_s
        try:
            return self._process.child.receive(None if limit_s is None else limit_s + _COMPILE_S)
        except TimeoutError:
            self._process.child.stop()
            raise EOFError from None

    def _after_death(self, reason: str) -> bool:
        """Handles the death of a process; returns whether the sweep continues. Tasks left waiting run in the next one.

        If running trials have code that is not kexp's, the code of one of them may have been the cause. They are
        refused, so that each runs in a worker process, where a death costs one trial. Other running trials are tried
        again as lanes, `sweep.max_retries` times.
        """
        self._deaths += 1
        foreign = [number for number, task in self._waiting.items() if has_foreign_code(task.config)]
        suspects = self.begun.intersection(foreign)
        if not self.begun or self._deaths > _DEATHS:
            suspects = set(foreign)
        for number in sorted(suspects | self.begun):
            spent = self.attempts[number] > self.events.settings.max_retries
            if number not in suspects and not spent:
                continue
            if self._waiting[number].ordinary is not None and not self.fused.strict:
                self.refuse(number, f"the process of the lanes died with it: {reason}", self._waiting)
            elif number in self.begun and spent:
                limit_s = self.events.settings.trial_timeout_s
                why = too_long(limit_s) if limit_s is not None and "SIGKILL" in reason else reason
                if not self.end(Outcome(number, "FAILED", why, repeatable=True), self._waiting):
                    return False
        self.begun = set()
        return True

    def _start(self) -> None:
        """Replaces a dead process, and waits until the process is ready."""
        if not self._process.child.alive:
            self._process.close()
            self._process = EngineProcess()
        self._lanes = self._process.lanes()

    def close(self) -> None:
        self._process.close()

"""Checkpoints of one lane, from which a killed lane resumes to the same bits.

The files are those of `kexp.training.checkpoints`, with another fingerprint than that of a training by Keras' own loop.
The last bits of a result depend on the width of the program and on its executor. A lane therefore resumes only in a
program with the same width and executor; otherwise it starts from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.training.checkpoints.checkpoint import Checkpoint, Checkpointing, Clock, latest_checkpoint, save_checkpoint
from kexp.training.checkpoints.state import mismatch, pack_array, unpack_array

if TYPE_CHECKING:
    from kexp.fused.lanes.callbacks import LaneCallbacks
    from kexp.training import History

__all__ = ["LaneCheckpoints"]


class LaneCheckpoints:
    """Looks for a lane's checkpoint at its start, and writes the next ones when they are due.

    None is written of an epoch that ends the lane: nothing is left to go on with.

    Args:
        settings: when and where.
        variables: what the lane's state is the values of.
        callbacks: the lane's.
        program: what decides the bits besides the trial: the lanes of the program, the executor.
    """

    def __init__(
        self, settings: Checkpointing, variables: Sequence[Any], callbacks: LaneCallbacks, program: Mapping[str, Any]
    ) -> None:
        self.settings, self.variables, self.callbacks, self.program = settings, variables, callbacks, dict(program)
        self._clock = Clock(settings, 0)

    def resume(self) -> tuple[Checkpoint | None, list[str]]:
        """The checkpoint to go on from, its callbacks put back already, and what there is to say about it.

        Raises:
            ConfigError: the folder holds another training's checkpoint.
        """
        found, notices = latest_checkpoint(self.settings)
        if found is not None:
            problem = self._misfit(found.state)
            if problem:
                return None, [*notices, f"the checkpoint does not fit: {problem}; training starts from the beginning"]
            self.callbacks.restore(found.state["callbacks"], found.arrays)
            self._clock.saved(found.epoch)
        return found, [*notices, *(found.lost if found else ())]

    def went_on(self, epoch: int) -> None:
        """The lane goes on after `epoch` with what was kept elsewhere."""
        self._clock.saved(epoch)

    @staticmethod
    def state(found: Checkpoint) -> list[Any]:
        """The lane's variables."""
        return [unpack_array(kept, found.arrays) for kept in found.state["variables"]]

    def is_due(self, epoch: int) -> bool:
        """Whether one is to be written after `epoch`, counted from 1."""
        return self._clock.is_due(epoch)

    def save(self, epoch: int, history: History, state: Sequence[Any]) -> None:
        """Writes one, of the state after `epoch`."""
        arrays: dict[str, Any] = {}
        variables = [
            pack_array(value, str(variable.dtype), arrays)
            for value, variable in zip(state, self.variables, strict=True)
        ]
        callbacks, lost = self.callbacks.capture(arrays)
        kept = {"variables": variables, "callbacks": callbacks, "program": self.program}
        try:
            save_checkpoint(self.settings, Checkpoint(epoch, False, history, kept, arrays, lost))
        except OSError as error:
            # Training is worth more than its checkpoint, and the one before it is untouched.
            history.notice(f"no checkpoint could be written after epoch {epoch} ({error.strerror or error})")
        self._clock.saved(epoch)

    def _misfit(self, state: Mapping[str, Any]) -> str:
        taken = state.get("program")
        if taken != self.program:
            return f"it was taken in {_told(taken)}, this is {_told(self.program)}"
        return mismatch(state, self.variables, self.callbacks.callbacks)


def _told(program: Mapping[str, Any] | None) -> str:
    return "no lane" if program is None else f"a program of {program['lanes']} lanes ({program['executor']})"

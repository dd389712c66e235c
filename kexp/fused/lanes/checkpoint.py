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
    """Reads a lane's checkpoint when it begins, and writes new ones when they are due.

    After the lane's last epoch, none is written.

    Args:
        settings: when and where to write.
        variables: the variables whose values are the lane's state.
        callbacks: the lane's callbacks.
        program: the width and the executor of the program, on which the last bits of a result depend.
    """

    def __init__(
        self, settings: Checkpointing, variables: Sequence[Any], callbacks: LaneCallbacks, program: Mapping[str, Any]
    ) -> None:
        self.settings, self.variables, self.callbacks, self.program = settings, variables, callbacks, dict(program)
        self._clock = Clock(settings, 0)

    def resume(self) -> tuple[Checkpoint | None, list[str]]:
        """Reads the checkpoint to resume from, and restores the callbacks.

        Returns:
            The checkpoint, None if there is none that fits, and notices for the user.

        Raises:
            ConfigError: the folder holds a checkpoint of another training.
        """
        found, notices = latest_checkpoint(self.settings)
        if found is not None:
            problem = self._misfit(found.state)
            if problem:
                return None, [*notices, f"the checkpoint does not fit: {problem}; training starts from the beginning"]
            self.callbacks.restore(found.state["callbacks"], found.arrays)
            self._clock.saved(found.epoch)
        return found, [*notices, *(found.lost if found else ())]

    def resumed(self, epoch: int) -> None:
        """Notes that the lane has resumed after `epoch` without a checkpoint: it was paused."""
        self._clock.saved(epoch)

    @staticmethod
    def variables_of(found: Checkpoint) -> list[Any]:
        """Returns the lane's variables in a checkpoint."""
        return [unpack_array(kept, found.arrays) for kept in found.state["variables"]]

    def is_due(self, epoch: int) -> bool:
        """Returns whether a checkpoint is due after `epoch`, counted from 1."""
        return self._clock.is_due(epoch)

    def save(self, epoch: int, history: History, state: Sequence[Any]) -> None:
        """Writes a checkpoint.

        Args:
            epoch: the completed epochs.
            history: their metrics; receives a notice if the checkpoint cannot be written.
            state: the lane's variables.
        """
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
            # Training continues without this checkpoint; the previous one is unchanged.
            history.notice(f"no checkpoint could be written after epoch {epoch} ({error.strerror or error})")
        self._clock.saved(epoch)

    def _misfit(self, state: Mapping[str, Any]) -> str:
        """Returns why a checkpoint's state cannot be restored in this lane; empty if it can."""
        program = state.get("program")
        if program != self.program:
            return f"it was taken in {_described(program)}, this is {_described(self.program)}"
        return mismatch(state, self.variables, self.callbacks.callbacks)


def _described(program: Mapping[str, Any] | None) -> str:
    return "no lane" if program is None else f"a program of {program['lanes']} lanes ({program['executor']})"

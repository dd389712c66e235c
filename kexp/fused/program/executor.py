"""How a program runs its steps: the protocol of executors, and the one that runs whole epochs in one compiled call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from kexp.fused.program.memory import peak_bytes

__all__ = ["Executor", "ScanExecutor"]


class Executor(Protocol):
    """Trains and evaluates all lanes of a program.

    Attributes:
        name: for the tag `kexp.fused`; the last bits of a result depend on the executor.
    """

    @property
    def name(self) -> str: ...

    def train(self, state: Any, floats: Any, ints: Any, class_weights: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Runs an epoch; see `Program.train`."""

    def evaluate(self, state: Any, floats: Any, ints: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Runs an evaluation; see `Program.evaluate`."""

    def peak_bytes(self, state_bytes: int) -> int:
        """Returns the most memory that a call takes, the table of the data included.

        Args:
            state_bytes: memory of the state of all lanes.
        """


@dataclass(frozen=True)
class ScanExecutor:
    """Runs an epoch, or an evaluation, in one compiled call. Its steps are a `lax.scan`.

    Attributes:
        training: the compiled epoch.
        evaluations: number of rows -> the compiled evaluation.
        metrics: the values of the metrics' variables before the first step.
        table: the data on the device.
    """

    training: Any
    evaluations: dict[int, Any]
    metrics: list[Any]
    table: Any
    name: str = "scan"

    def train(self, state: Any, floats: Any, ints: Any, class_weights: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Runs an epoch; see `Program.train`."""
        result: tuple[Any, Any] = self.training(state, self.metrics, floats, ints, class_weights, rows, self.table)
        return result

    def evaluate(self, state: Any, floats: Any, ints: Any, rows: Any, active: Any) -> tuple[Any, Any]:
        """Runs an evaluation; see `Program.evaluate`."""
        run = self.evaluations[rows.shape[1]]
        result: tuple[Any, Any] = run(state, self.metrics, floats, ints, rows, self.table)
        return result

    def peak_bytes(self, state_bytes: int) -> int:
        """Returns the most memory that a call takes; see `Executor.peak_bytes`."""
        return peak_bytes([self.training, *self.evaluations.values()])

"""Decisions on trials after a stage, and the file of decisions that an interrupted sweep resumes from."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kexp.errors import ConfigError

__all__ = ["Copy", "Decision", "Decisions", "Method"]

FILE = "population.json"


@dataclass(frozen=True)
class Copy:
    """A trial continues as a copy of another: with its weights, its optimizer state and its config.

    Attributes:
        donor: the number of the copied trial.
        values: config key -> the hyperparameter's value from then on.
    """

    donor: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Decision:
    """A decision after an epoch. Trials are given by number.

    Attributes:
        epoch: the number of completed epochs.
        ends: trial -> the reason why it ends.
        copies: trial -> the copy that it continues as.
        values: trial -> the objective at this epoch; trials without a value are missing.
    """

    epoch: int
    ends: Mapping[int, str] = field(default_factory=dict)
    copies: Mapping[int, Copy] = field(default_factory=dict)
    values: Mapping[int, float] = field(default_factory=dict)


class Method(Protocol):
    """Decides which trials end and which continue.

    Attributes:
        name: the option of `hydra/sweeper`.
        stops: the epochs after which decisions are made, ascending.
    """

    @property
    def name(self) -> str: ...

    @property
    def stops(self) -> Sequence[int]: ...

    def decide(self, epoch: int, ranked: Sequence[int], paused: Collection[int]) -> Decision:
        """Makes the decision after an epoch.

        Args:
            epoch: one of `stops`.
            ranked: all trials that have not ended, best first.
            paused: those of them that can continue.
        """


class Decisions:
    """The decisions of a sweep. Each is written to disk before it takes effect.

    Args:
        folder: the sweep's folder.
        begun_with: settings that must not change when the sweep resumes, as text for messages.
        trials: the fingerprints of the trials that the sweep started with.
        goes_on: whether the sweep resumes; otherwise, a file in the folder belongs to another sweep.

    Raises:
        ConfigError: the sweep was started with other settings.
    """

    def __init__(self, folder: Path, begun_with: Sequence[str], trials: Sequence[str], *, goes_on: bool) -> None:
        self._file = folder / FILE
        self._head = {"begun_with": list(begun_with), "trials": list(trials)}
        found = self._read() if goes_on else {}
        before = found.get("begun_with", self._head["begun_with"])
        for was, now in zip(before, self._head["begun_with"], strict=True):
            if was != now:
                raise ConfigError(
                    f"the sweep {folder.name!r} was started with {was}, not {now}; give another sweep.name"
                )
        same = found.get("trials") == self._head["trials"]
        self.made = [_decision(each) for each in found["decisions"]] if same else []

    def add(self, decision: Decision) -> None:
        """Appends a decision, and writes the file."""
        from kexp.persistence.atomic import write_atomically

        self.made.append(decision)
        write_atomically(self._file, self.text().encode())

    def text(self) -> str:
        """Returns all decisions as JSON."""
        return json.dumps({**self._head, "decisions": [asdict(each) for each in self.made]}, indent=1)

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return found


def _decision(kept: Mapping[str, Any]) -> Decision:
    copies = {int(number): Copy(**each) for number, each in kept["copies"].items()}
    ends, values = ({int(number): each for number, each in kept[key].items()} for key in ("ends", "values"))
    return Decision(kept["epoch"], ends, copies, values)

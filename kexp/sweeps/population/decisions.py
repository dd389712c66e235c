"""What becomes of trials after a stage, and the file of it that a sweep goes on with when it was interrupted."""

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
    """A trial goes on with all that another is.

    Attributes:
        donor: the other's number.
        values: config key of a number -> its value from then on.
    """

    donor: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Decision:
    """What happens after an epoch.

    Attributes:
        epoch: epochs done.
        ends: trial -> why it ends here.
        copies: trial -> whom it goes on as.
        values: trial -> the objective that it was judged by; those without one had none.
    """

    epoch: int
    ends: Mapping[int, str] = field(default_factory=dict)
    copies: Mapping[int, Copy] = field(default_factory=dict)
    values: Mapping[int, float] = field(default_factory=dict)


class Method(Protocol):
    """Decides what becomes of trials.

    Attributes:
        name: as `hydra/sweeper` has it.
        stops: epochs after which there is a decision, ascending.
    """

    @property
    def name(self) -> str: ...

    @property
    def stops(self) -> Sequence[int]: ...

    def decide(self, epoch: int, ranked: Sequence[int], paused: Collection[int]) -> Decision:
        """The decision after an epoch.

        Args:
            epoch: one of `stops`.
            ranked: all trials that were not ended before, the best first.
            paused: those of them that can go on.
        """


class Decisions:
    """Those of a sweep, each on disk before it takes effect.

    Args:
        folder: the sweep's.
        begun_with: what must be the same for decisions to hold, as a person says it.
        trials: what tells the trials that the sweep began with.
        goes_on: whether the sweep was begun before; else what lies in the folder is another's.

    Raises:
        ConfigError: the sweep was begun with something else.
    """

    def __init__(self, folder: Path, begun_with: Sequence[str], trials: Sequence[str], *, goes_on: bool) -> None:
        self._file = folder / FILE
        self._head = {"begun_with": list(begun_with), "trials": list(trials)}
        found = self._read() if goes_on else {}
        before = found.get("begun_with", self._head["begun_with"])
        for was, now in zip(before, self._head["begun_with"], strict=True):
            if was != now:
                raise ConfigError(
                    f"the sweep {folder.name!r} was begun with {was}, and not {now}; give another sweep.name"
                )
        same = found.get("trials") == self._head["trials"]
        self.made = [_decision(each) for each in found["decisions"]] if same else []

    def add(self, decision: Decision) -> None:
        """Notes a decision."""
        from kexp.persistence.atomic import write_atomically

        self.made.append(decision)
        write_atomically(self._file, self.text().encode())

    def text(self) -> str:
        """All of them, as JSON."""
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

"""A trial's files on their way between machines that do not share a file system."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kexp.launching import Outcome, RunRecord, Task

__all__ = ["Away", "TrialFiles", "pack", "unpack"]

Files = Mapping[str, bytes]
"""Path within a folder, with slashes -> content."""


@dataclass(frozen=True)
class TrialFiles:
    """What travels with a trial: there, what an earlier attempt left; back, what this one leaves."""

    checkpoint: Files = field(default_factory=dict)
    folder: Files = field(default_factory=dict)
    state: bytes | None = None

    @classmethod
    def for_task(cls, task: Task) -> TrialFiles:
        """What the driver sends along."""
        return cls(checkpoint=pack(Path(task.checkpoint)) if task.checkpoint else {})

    def put_where(self, task: Task) -> None:
        """Puts what came back where the driver expects it."""
        unpack(self.folder, Path(task.folder))
        if task.checkpoint:
            shutil.rmtree(task.checkpoint, ignore_errors=True)
            unpack(self.checkpoint, Path(task.checkpoint))
        if task.state and self.state is not None:
            unpack({Path(task.state).name: self.state}, Path(task.state).parent)


class Away:
    """A trial in a folder of the node's own.

    Args:
        task: the trial, with the driver's paths.
        home: the folder; made, and emptied first.
    """

    def __init__(self, task: Task, home: Path) -> None:
        self.home, self._task = home, task
        shutil.rmtree(home, ignore_errors=True)
        self._folder = home / "trial"
        self._folder.mkdir(parents=True)
        self.task = replace(
            task,
            folder=str(self._folder),
            checkpoint=str(home / "checkpoint") if task.checkpoint else "",
            state=str(home / "state" / Path(task.state).name) if task.state else "",
        )

    def arrive(self, files: TrialFiles) -> None:
        """Unpacks what an earlier attempt left."""
        unpack(files.checkpoint, self.home / "checkpoint")

    def leave(self, outcome: Outcome) -> tuple[Outcome, TrialFiles]:
        """The outcome in the driver's words, and the files that it speaks of."""
        record = outcome.record if outcome.record is None else self._moved(outcome.record)
        state = Path(self.task.state) if self.task.state else None
        files = TrialFiles(
            checkpoint=pack(self.home / "checkpoint"),
            folder=pack(self._folder),
            state=state.read_bytes() if state is not None and state.is_file() else None,
        )
        shutil.rmtree(self.home, ignore_errors=True)
        return replace(outcome, record=record), files

    def _moved(self, record: RunRecord) -> RunRecord:
        """The record with each file where it will be at the driver's; what lies elsewhere is taken along."""
        there, files = Path(self._task.folder), []
        for number, (file, inside) in enumerate(record.files):
            within = file
            if not file.resolve().is_relative_to(self._folder.resolve()):
                within = self._folder / "files" / str(number) / file.name
                within.parent.mkdir(parents=True)
                shutil.copytree(file, within) if file.is_dir() else shutil.copy2(file, within)
            files.append((there / within.resolve().relative_to(self._folder.resolve()), inside))
        return replace(record, files=files, tags={**record.tags, "kexp.folder": str(there)})


def pack(folder: Path) -> dict[str, bytes]:
    """The content of every file under a folder; nothing where there is no folder."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in files}


def unpack(files: Files, folder: Path) -> None:
    """Writes files under a folder, and nowhere else."""
    for name, content in files.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{name}: a file that came back must lie within the trial's folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f"{file.name}.part")
        beside.write_bytes(content)
        beside.replace(file)

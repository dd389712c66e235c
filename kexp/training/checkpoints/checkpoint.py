"""Checkpoints on disk: written atomically, the last two kept, parsed only after their digest is checked.

A file is one line, `kexp-checkpoint 1 SHA256`, and an npz archive with that digest. The archive holds arrays and one
JSON document as bytes. It holds no executable content.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError
from kexp.training.history import History

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Checkpoint", "Checkpointing", "latest_checkpoint", "remove_checkpoints"]

_KEPT = 2
_MAGIC = b"kexp-checkpoint 1 "
_HEADER_BYTES = len(_MAGIC) + 64 + 1
_NAME = re.compile(r"^epoch-(\d{8})\.checkpoint$")
_STATE = "state.json"


@dataclass(frozen=True)
class Checkpointing:
    """When and where checkpoints are written, from which a killed training resumes.

    A checkpoint is written at the end of each epoch in which either limit is reached, and of the last epoch.

    Attributes:
        folder: holds the checkpoints of one training only.
        fingerprint: identifies the experiment; a checkpoint with another fingerprint is refused.
        every_epochs: epochs between checkpoints, > 0; None leaves it to `every_seconds`.
        every_seconds: seconds between checkpoints, >= 0; None leaves it to `every_epochs`.
    """

    folder: Path
    fingerprint: str
    every_epochs: int | None = 1
    every_seconds: float | None = None


@dataclass(frozen=True)
class Checkpoint:
    """The content of one checkpoint file.

    Attributes:
        epoch: epochs done, `initial_epoch` included.
        finished: whether training has ended, after its last epoch or because something stopped it.
        history: the metrics so far; its `stopped` holds the reason if something stopped training.
        state: the result of `training.state.capture`.
        arrays: the arrays that `state` refers to.
        lost: one sentence for each value that could not be saved.
    """

    epoch: int
    finished: bool
    history: History
    state: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    lost: list[str]


def save_checkpoint(settings: Checkpointing, checkpoint: Checkpoint) -> Path:
    """Writes a checkpoint and removes all but the last two.

    Args:
        settings: where to write.
        checkpoint: what to write.

    Returns:
        The file.

    Raises:
        OSError: the file could not be written; earlier checkpoints are unchanged.
    """
    from kexp.persistence.atomic import remove, write_atomically

    settings.folder.mkdir(parents=True, exist_ok=True)
    path = settings.folder / f"epoch-{checkpoint.epoch:08}.checkpoint"
    write_atomically(path, _encode(checkpoint, settings.fingerprint))
    files = _files(settings.folder)
    newest = files.index(path)
    # Files of later epochs are damaged or do not fit: training did not resume from them.
    for other in files[:newest] + files[newest + _KEPT :]:
        remove(other)
    return path


def latest_checkpoint(settings: Checkpointing) -> tuple[Checkpoint | None, list[str]]:
    """Reads the newest intact checkpoint.

    Args:
        settings: where to look, and the fingerprint to expect.

    Returns:
        The checkpoint, None if there is none, and one sentence for each damaged file.

    Raises:
        ConfigError: the folder holds another experiment's checkpoint.
    """
    from kexp.persistence.atomic import remove_stray_files

    if not settings.folder.is_dir():
        return None, []
    remove_stray_files(settings.folder)
    notices: list[str] = []
    for path in _files(settings.folder):
        try:
            fingerprint, checkpoint = _decode(path.read_bytes())
        except _DamagedError as damage:
            notices.append(f"the checkpoint {path.name} is damaged ({damage})")
            continue
        except OSError as error:
            notices.append(f"the checkpoint {path.name} cannot be read ({error.strerror})")
            continue
        if fingerprint != settings.fingerprint:
            raise ConfigError(
                f"trainer.checkpoint: {settings.folder} holds a checkpoint of another experiment ({fingerprint[:12]}; "
                f"this one is {settings.fingerprint[:12]}); remove it, or choose another folder"
            )
        if notices:
            notices[-1] += f"; training resumes from the previous one, after epoch {checkpoint.epoch}"
        return checkpoint, notices
    if notices:
        notices[-1] += "; training starts from the beginning"
    return None, notices


def remove_checkpoints(folder: Path) -> None:
    """Removes all checkpoints of a folder, and the folder if it is then empty."""
    from kexp.persistence.atomic import remove, remove_stray_files

    if not folder.is_dir():
        return
    for path in _files(folder):
        remove(path)
    remove_stray_files(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()


class Clock:
    """Decides when the next checkpoint is due.

    Args:
        settings: the limits.
        epoch: the epoch that training starts after.
    """

    def __init__(self, settings: Checkpointing, epoch: int) -> None:
        self.settings = settings
        self.saved(epoch)

    def saved(self, epoch: int) -> None:
        """Notes that a checkpoint was written after `epoch`."""
        self._epoch, self._time = epoch, time.monotonic()

    def is_due(self, epoch: int) -> bool:
        """Returns whether a checkpoint is due after `epoch`."""
        epochs, seconds = self.settings.every_epochs, self.settings.every_seconds
        return (epochs is not None and epoch - self._epoch >= epochs) or (
            seconds is not None and time.monotonic() - self._time >= seconds
        )


class _DamagedError(Exception):
    pass


def _files(folder: Path) -> list[Path]:
    """Returns the checkpoint files, the newest first."""
    return sorted((path for path in folder.iterdir() if _NAME.match(path.name)), reverse=True)


def _encode(checkpoint: Checkpoint, fingerprint: str) -> bytes:
    import numpy as np

    history = checkpoint.history
    document = {
        "fingerprint": fingerprint,
        "epoch": checkpoint.epoch,
        "finished": checkpoint.finished,
        "history": history.epochs,
        "duration_s": history.duration_s,
        "stopped": history.stopped,
        "notices": history.notices,
        "state": checkpoint.state,
        "lost": checkpoint.lost,
    }
    text = np.frombuffer(json.dumps(document).encode(), dtype=np.uint8)
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **{_STATE: text, **checkpoint.arrays})
    content = buffer.getvalue()
    return _MAGIC + sha256(content).hexdigest().encode() + b"\n" + content


def _decode(content: bytes) -> tuple[str, Checkpoint]:
    import numpy as np

    header, archive = content[:_HEADER_BYTES], content[_HEADER_BYTES:]
    if not header.startswith(_MAGIC):
        raise _DamagedError("its header is wrong")
    if header[len(_MAGIC) :].rstrip(b"\n") != sha256(archive).hexdigest().encode():
        raise _DamagedError("its content does not match its digest")
    with np.load(BytesIO(archive), allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    document = json.loads(arrays.pop(_STATE).tobytes())
    history = History(
        epochs=[(epoch, metrics) for epoch, metrics in document["history"]],
        duration_s=document["duration_s"],
        stopped=document["stopped"],
        resumed_from=document["epoch"],
        notices=document["notices"],
    )
    checkpoint = Checkpoint(
        document["epoch"], document["finished"], history, document["state"], arrays, document["lost"]
    )
    return document["fingerprint"], checkpoint

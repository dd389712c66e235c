"""A model and callbacks that note where it is built and trained, and end a trial as `model.end` says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.model.spec import ModelSpec

if TYPE_CHECKING:
    import keras

_planned: dict[str, Any] = {}


def model(
    spec: ModelSpec, *, end: str = "well", epoch: int = 1, notes: str = "", pause_s: float = 0.0
) -> keras.Sequential:
    """A tiny network. A note in the folder `notes` says that it was built."""
    import keras

    _planned.update(end=end, epoch=epoch, notes=notes, pause_s=pause_s)
    _note(notes, "built", end)
    if end == "raise":
        raise RuntimeError("this model was never meant to be")
    return keras.Sequential(
        [
            keras.Input(spec.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
            keras.layers.Dense(spec.units, activation=spec.output_activation),
        ]
    )


def at() -> keras.callbacks.Callback:
    """Does what `model.end` says when epoch `model.epoch`, from 0, begins; once if it ends in `_once`.

    A note says that training began.
    """
    import keras

    class At(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            _note(_planned["notes"], "begun", _planned["end"])

        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            time.sleep(_planned["pause_s"])
            if number != _planned["epoch"]:
                return
            end, _, once = str(_planned["end"]).partition("_")
            if once:
                done = Path(_planned["notes"], f"{end}.done")
                if done.exists():
                    return
                done.touch()
            _happen(end)

    return At()


def slow() -> keras.callbacks.Callback:
    """Each epoch takes a while, of a lane too; a note says where the first one began."""
    import keras

    class Slow(keras.callbacks.Callback):
        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            time.sleep(0.05)
            if number == 0:
                _note("notes", "begun", "lane")
                print("a lane begins")

    return Slow()


def notes_in(folder: Path, what: str = "begun") -> list[dict[str, Any]]:
    """The notes on trainings that have begun, or on models that were `built`, in the order of time."""
    found = [json.loads(file.read_text()) for file in folder.glob(f"{what}-*.json")]
    return sorted(found, key=lambda note: float(note["time"]))


def _note(folder: str, what: str, end: str) -> None:
    import ray

    if not folder or not ray.is_initialized():
        return
    note = {
        "end": end,
        "pid": os.getpid(),
        "node": ray.get_runtime_context().get_node_id(),
        "time": time.time(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "word": os.environ.get("WORD"),
        "folder": os.getcwd(),
    }
    beside = Path(folder, f"{what}-{uuid.uuid4().hex}.part")
    beside.write_text(json.dumps(note))
    beside.rename(beside.with_suffix(".json"))


def _happen(how: str) -> None:
    match how:
        case "fail":
            raise RuntimeError("in the middle")
        case "leave":
            sys.exit("enough")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "term":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        case "hang":
            time.sleep(3600)
        case "memory":
            raise MemoryError

"""A model and a callback that end a trial in every way there is; chosen by reference, in the tests' own sweeps.

One axis, `model.end`, says how: the model's building heeds it, and the callback in the epochs after.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.model.spec import ModelSpec

if TYPE_CHECKING:
    import keras

_planned = {"end": "well"}


def model(spec: ModelSpec, *, end: str = "well", width: int = 4) -> keras.Sequential:
    """A tiny network, for whose building `end` may be the end."""
    _planned["end"] = end
    if end == "raise":
        raise RuntimeError("this model was never meant to be\nand here is a second line")
    if end == "exit":
        sys.exit(3)
    if end == "refuse":
        raise ValueError("must be something else")
    import keras

    return keras.Sequential(
        [
            keras.Input(spec.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(width),
            keras.layers.Dense(spec.units, activation=spec.output_activation),
        ]
    )


def at(*, epoch: int = 1) -> keras.callbacks.Callback:
    """At the beginning of epoch `epoch`, from 0, what `model.end` says happens.

    Where BAD_ENDS_ONCE names a folder, it happens once: a file there says that it has.
    """
    import keras

    once = os.environ.get("BAD_ENDS_ONCE", "")

    class At(keras.callbacks.Callback):
        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            if number != epoch:
                return
            if once:
                done = Path(once, _planned["end"])
                if done.exists():
                    return
                done.touch()
            happen(_planned["end"], self.model)

    return At()


def happen(how: str, network: keras.Model) -> None:
    match how:
        case "in_the_middle":
            raise RuntimeError("in the middle")
        case "leave":
            sys.exit("enough")
        case "gone":
            os._exit(7)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "term":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        case "segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(3600)
        case "memory":
            np.empty(1 << 58)
        case "tensor":
            import keras

            keras.ops.zeros((1 << 48,))
        case "diverge":
            for variable in network.trainable_variables:
                variable.assign(variable * float("nan"))

"""One step of training of a list of layers, by the way that a config goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from kexp.config import compose, plain
from kexp.data import as_data
from kexp.experiment import prepare
from kexp.experiment.compiled import build_compiled
from kexp.schema import check

SETTINGS = ("data=digits", "model=sequential", "metrics=[]", "trainer.batch_size=4", "trainer.jit_compile=false")
ROWS, CLASSES = 12, 3


def loss_of_a_step(
    layers: str, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any] | None = None, *overrides: str
) -> float:
    """The loss of the first step on some rows; their targets are classes unless given."""
    y = np.arange(ROWS) % CLASSES if y is None else y
    experiment = check(plain(compose([*SETTINGS, f"model.layers={layers}", *overrides])))
    prepared = prepare(experiment, as_data((x, y)))
    model = build_compiled(prepared)
    model.run_eagerly = True
    batch = prepared.splits.train.batch(np.arange(4))
    return float(model.train_on_batch(batch[0], batch[1], return_dict=True)["loss"])

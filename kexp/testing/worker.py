"""A process on another Keras backend that trains staged experiments and loads models that this process saved.

worker = Worker.on("jax")
worker.try_out(config, folder, ["h5"])
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kexp.errors import KexpError
from kexp.system.child_process import ChildProcess

__all__ = ["Worker"]

PROBE, PREDICTED = "probe.npy", "predicted.npy"


class Worker:
    """One process per backend, kept until this process ends, because importing a backend takes seconds.

    Args:
        backend: `tensorflow`, `jax` or `torch`.
    """

    def __init__(self, backend: str) -> None:
        self.backend = backend
        environment = {**os.environ, "KERAS_BACKEND": backend}
        self._process = ChildProcess("kexp.testing.worker:serve", environment=environment)

    @staticmethod
    @cache
    def on(backend: str) -> Worker:
        """Returns the process of a backend; starts it at the first call."""
        return Worker(backend)

    def try_out(self, config: Mapping[str, Any], saved: Path, formats: Sequence[str], search: Sequence[str]) -> str:
        """Loads each format in the other process, compares predictions, and trains the experiment there.

        Args:
            config: the result of `Experiment.as_dict`.
            saved: a folder that `save_model` wrote, with probe inputs and this process's predictions beside the files.
            formats: registry names of the formats.
            search: this process's `sys.path`.

        Returns:
            A sentence on what went wrong; empty if nothing did.
        """
        self._process.send(({**config, "backend": self.backend}, saved, list(formats), list(search)))
        try:
            return str(self._process.receive())
        except EOFError:
            return f"the process on {self.backend}: {self._process.how_it_died()}"


def serve(connection: Connection) -> None:
    """Answers each request of `Worker.try_out`."""
    from kexp import registry

    while True:
        config, saved, formats, sys.path[:] = connection.recv()
        registry.refresh()
        try:
            problem = _try_out(config, saved, formats)
        except KexpError as error:
            problem = str(error)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        connection.send(problem)


def _try_out(config: Mapping[str, Any], saved: Path, formats: Sequence[str]) -> str:
    import numpy as np

    from kexp.build import build_format
    from kexp.persistence import carries, load_model
    from kexp.persistence.verify import predict_once
    from kexp.schema import check
    from kexp.stored.models import own_classes
    from kexp.testing.training import train
    from kexp.training import prepare_backend

    experiment = check(config)
    prepare_backend(experiment.backend)
    # Files are loaded first, while only the modules of the config are imported, as when a saved model is used.
    probe, predicted = (np.load(saved / name, allow_pickle=False) for name in (PROBE, PREDICTED))
    for name in formats:
        fmt = build_format(name)
        if carries(fmt) == "architecture":
            continue
        loaded = load_model(saved, name, fmt, custom_objects=own_classes(experiment))
        got = predict_once(loaded, probe)
        off = float(np.abs(got - predicted).max())
        if got.shape != predicted.shape or not off <= 1e-3 * max(1.0, float(np.abs(predicted).max())):
            return f"a model saved as {name} predicts differently on {experiment.backend}: off by {off:.3g}"
    history = train(experiment).histories["numpy"]
    if not all(np.isfinite(values).all() for values in history.values()):
        return f"an epoch on {experiment.backend} gave {history}"
    return ""

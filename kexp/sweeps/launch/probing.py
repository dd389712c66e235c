"""Estimate the time, memory and disk space of trials: each structure is built once and trained for a step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from kexp.errors import ConfigError, in_a_line
from kexp.sweeps.trials import Trial
from kexp.system.child_process import ChildProcess

__all__ = ["Probe", "probe_structures", "structure_key"]

_CHANGES_NOTHING = ("name", "tracking", "sweep", "fused", "seed")
_BYTES_PER_PARAMETER = {"h5": 12, "keras": 12, "weights": 4, "saved_model": 5, "tf_checkpoint": 12, "onnx": 4}


@dataclass(frozen=True)
class Probe:
    """The measurements of one structure.

    Attributes:
        parameters: the number of the model's weights.
        setup_s: seconds to load the data, build and compile, in a process that has imported Keras.
        epoch_s: seconds for an epoch with validation.
        memory_mb: resident memory of the process after a step.
        disk_mb: size of the files of a finished trial.
        problem: why it cannot be built or trained; empty if it can.
    """

    parameters: int = 0
    setup_s: float = 0.0
    epoch_s: float = 0.0
    memory_mb: float = 0.0
    disk_mb: float = 0.0
    problem: str = ""

    def trial_s(self, epochs: int) -> float:
        """Returns the seconds of a trial with so many epochs."""
        return self.setup_s + epochs * self.epoch_s


def structure_key(config: Mapping[str, Any]) -> str:
    """Return a key that is equal for configs with the same layers and shapes: a hash of the config without floats."""
    kept = {key: value for key, value in config.items() if key not in _CHANGES_NOTHING}
    kept["data"] = {key: value for key, value in config["data"].items() if key != "split_seed"}
    kept["trainer"] = {key: value for key, value in config["trainer"].items() if key not in ("epochs", "verbose")}
    text = json.dumps(kept, sort_keys=True, default=str)
    text = json.dumps(json.loads(text, parse_float=lambda _: 0.5))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def probe_structures(trials: Sequence[Trial]) -> dict[str, Probe]:
    """Build each structure once in a child process, and train it for a step.

    A trial whose structure cannot be built becomes INVALID.

    Returns:
        `structure_key` -> the measurements.
    """
    first: dict[str, Trial] = {}
    members: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.state == "WAITING":
            key = structure_key(trial.config)
            first.setdefault(key, trial)
            members.setdefault(key, []).append(trial)
    found: dict[str, Probe] = {}
    for key, trial in first.items():
        found[key] = _in_process(trial.config)
        for member in members[key] if found[key].problem else ():
            member.state, member.reason = "INVALID", found[key].problem
    return found


_children: dict[str, ChildProcess] = {}  # by backend, because a process can import only one


def _in_process(config: Mapping[str, Any]) -> Probe:
    """Probe a config in a child process, which its structure may kill without harm to the others."""
    backend = str(config["backend"])
    if backend not in _children:
        _children[backend] = ChildProcess("kexp.sweeps.launch.probing:serve")
    _children[backend].send(dict(config))
    try:
        probe: Probe = _children[backend].receive()
    except EOFError:
        _children.pop(backend).kill()
        return Probe(problem="building it ended its process; out of memory, perhaps")
    return probe


def serve(connection: Connection) -> None:
    """Run in the child process: probe each config that is received."""
    while True:
        connection.send(_probe(connection.recv()))


def _probe(config: Mapping[str, Any]) -> Probe:
    import time

    import psutil

    try:
        from kexp import training
        from kexp.experiment import build_compiled, feeds, prepare
        from kexp.schema import check

        training.prepare_backend(config["backend"])  # before `check`, which may import a module that imports Keras
        experiment = check({**config, "trainer": {**config["trainer"], "steps_per_execution": 1}})
        import keras

        started = time.perf_counter()
        prepared = prepare(experiment)
        model = build_compiled(prepared)
        train, validation, _ = feeds(prepared)
        batches = iter(train.epochs(experiment.trainer.initial_epoch))
        batch = next(batches)
        model.train_on_batch(*batch)
        setup_s = time.perf_counter() - started
        started = time.perf_counter()
        model.train_on_batch(*batch)
        step_s = time.perf_counter() - started
        steps = train.steps_per_epoch + (0 if validation is None else validation.steps_per_epoch / 3)
        parameters = model.count_params()
        files = sum(_BYTES_PER_PARAMETER.get(name, 0) for name in experiment.save.files) + 12 * experiment.save.model
        probe = Probe(
            parameters=parameters,
            setup_s=setup_s,
            epoch_s=steps * step_s,
            memory_mb=psutil.Process().memory_info().rss / 1e6,
            disk_mb=parameters * files / 1e6,
        )
        keras.utils.clear_session()
        return probe
    except ConfigError as error:
        return Probe(problem=str(error))
    except Exception as error:
        return Probe(problem=in_a_line(error))

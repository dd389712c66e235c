"""Estimates how long trials take as lanes and in worker processes, for `hydra/launcher=auto`.

The estimate is a model with a few measured constants and this machine's rate of matrix products. If the two times are
close, a few steps are timed. On a CPU, lanes are much faster for short steps, and for dense and recurrent layers of any
size; for large convolutions TensorFlow has the faster routines.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kexp.errors import ConfigError
from kexp.registry import OURSELVES
from kexp.sweeps.launch.lanes.arithmetic import multiplications
from kexp.sweeps.trials import Task

if TYPE_CHECKING:
    from kexp.experiment import Prepared

__all__ = [
    "ENGINE_S",
    "START_S",
    "Estimate",
    "EstimateRequest",
    "Estimator",
    "Share",
    "add_share",
    "component_names",
    "has_foreign_code",
    "max_compile_s",
    "min_workers_s",
]

# Seconds, measured by benchmarks/auto_launcher.py on an idle CPU core of 2025.
START_S = 9.0  # start of worker processes, which import TensorFlow
ENGINE_S = 3.0  # start of the engine's process, which imports JAX
_TRIAL_S = 1.2  # of a trial in a worker, to build its model and trace its step
_STEP_S = 2.3e-3  # of a step in a worker, without its arithmetic
_COMPILE_S = {"dense": 1.5, "recurrent": 5.0, "convolution": 6.0}  # to plan and compile a structure
_LANE_STEP_S = 0.15e-3  # of a lane's step, without its arithmetic
# The fraction of the machine's rate of matrix products that training reaches.
_LANE_RATES = {"dense": 0.8, "recurrent": 0.5, "convolution": 0.28}
_WORKER_RATES = {"dense": 0.4, "recurrent": 0.2, "convolution": 0.4}

_CLOSE = 2.0  # if the times differ by less than this factor, steps are timed
_CLEAR = 1.5  # lanes must be faster by this factor for programs to be compiled before the decision
_MIN_PROBED_S = 60.0  # steps are timed only if both ways take at least so long
_PROBE_STEPS = 3


@dataclass(frozen=True)
class Share:
    """Trials with the same layers.

    Attributes:
        task: one of the trials.
        trials: how many they are.
        epochs: the sum of their epochs.
    """

    task: Task
    trials: int
    epochs: int


@dataclass(frozen=True)
class EstimateRequest:
    """Asks how long structures take.

    Attributes:
        shares: the trials.
        workers: how many worker processes would run at once.
        threads: how many programs would run at once; None for the device's default.
        log: the file for standard output and error.
    """

    shares: Sequence[Share]
    workers: int
    threads: int | None
    log: str


@dataclass(frozen=True)
class Estimate:
    """The estimated time of the shares that are lanes of one program.

    Attributes:
        shares: their positions in the request.
        fused_s: seconds as lanes, compilation included; infinite if they cannot be lanes.
        workers_s: seconds in worker processes, without the start of these; infinite if they should be lanes anyway.
        reason: why there is no choice; empty if the seconds decide.
        probed: whether steps were timed.
    """

    shares: Sequence[int]
    fused_s: float
    workers_s: float
    reason: str = ""
    probed: bool = False


def add_share(shares: dict[str, Share], key: str, task: Task, count: int = 1) -> None:
    """Adds a trial to the share of its structure.

    Args:
        shares: structure key -> share; is updated.
        key: the trial's structure key.
        task: the trial.
        count: how many trials it stands for, such as those of a search.
    """
    share = shares.get(key, Share(task, 0, 0))
    epochs = share.epochs + count * task.config["trainer"]["epochs"]
    shares[key] = replace(share, trials=share.trials + count, epochs=epochs)


def max_compile_s(shares: Collection[Share]) -> float:
    """Returns the most seconds to plan and compile structures without convolutions."""
    return sum(_COMPILE_S["recurrent" if _is_recurrent(share.task.config["model"]) else "dense"] for share in shares)


def min_workers_s(shares: Collection[Share], workers: int) -> float:
    """Returns the least seconds in worker processes: to start these, and to build each trial's model."""
    trials = sum(share.trials for share in shares)
    return START_S + trials * _TRIAL_S / min(workers, trials)


def component_names(node: Any) -> Iterator[str]:
    """Yields the names of all components in a part of a config."""
    if isinstance(node, Mapping):
        yield from (str(value) for key, value in node.items() if key == "name")
        yield from (name for value in node.values() for name in component_names(value))
    elif isinstance(node, (list, tuple)):
        yield from (name for value in node for name in component_names(value))


def has_foreign_code(config: Mapping[str, Any]) -> bool:
    """Returns whether a trial has a component that is neither kexp's nor Keras', or an invalid config."""
    from kexp.schema import check

    try:
        chosen = any(node.component.distribution != OURSELVES for node in check(config).nodes())
    except ConfigError:
        return True
    return chosen or any(":" in name for name in component_names(config))


def _is_recurrent(model: Mapping[str, Any]) -> bool:
    return any(kind in name.lower() for name in component_names(model) for kind in ("lstm", "gru", "rnn"))


class _Machine(NamedTuple):
    """What the time of a structure depends on besides the structure.

    Attributes:
        rate: floating-point operations per second of matrix products on all cores.
        workers: how many worker processes run at once.
        threads: how many programs run at once.
    """

    rate: float
    workers: int
    threads: int


class Estimator:
    """Estimates times in the engine's process. Remembers the multiplications of each structure.

    Args:
        prepare: prepares a task's experiment.
    """

    def __init__(self, prepare: Callable[[Task], Prepared]) -> None:
        self._prepare = prepare
        self._multiplications: dict[str, dict[str, float] | None] = {}

    def estimate(self, request: EstimateRequest, probes: bool = True) -> list[Estimate]:
        """Estimates the time of each structure.

        Args:
            request: the trials. One whose experiment cannot be prepared is left out.
            probes: whether steps are timed if the times are close.
        """
        from kexp import fused

        fused.use_compilation_cache()
        groups: dict[str, list[tuple[int, Share, Prepared]]] = {}
        for position, share in enumerate(request.shares):
            try:
                prepared = self._prepare(share.task)
            except (Exception, SystemExit):
                continue  # the error is reported when the trial runs
            groups.setdefault(fused.structure_key(prepared), []).append((position, share, prepared))
        for key, members in groups.items():
            if key not in self._multiplications:
                self._multiplications[key] = _multiplications_of(members[0][2])
        workers = min(request.workers, sum(share.trials for share in request.shares))
        machine = _Machine(_matrix_rate(), workers, request.threads or fused.default_threads())
        return [_estimate(members, self._multiplications[key], machine, probes) for key, members in groups.items()]

    def clearly_lanes(self, request: EstimateRequest) -> bool:
        """Returns whether lanes are faster by a margin that covers the error of an estimate on a busy machine."""
        estimates = self.estimate(request, probes=False)
        return bool(estimates) and all(each.fused_s * _CLEAR < START_S + each.workers_s for each in estimates)


def _estimate(
    members: Sequence[tuple[int, Share, Prepared]],
    by_kind: Mapping[str, float] | None,
    machine: _Machine,
    probes: bool,
) -> Estimate:
    """Estimates the time of one structure.

    Args:
        members: (position in the request, share, prepared experiment of its task).
        by_kind: kind -> multiplications of a forward pass for one row; None if the model could not be built.
        machine: what it runs on.
        probes: whether steps are timed if the times are close.
    """
    import jax

    from kexp import fused

    positions = [position for position, *_ in members]
    first = members[0][2]
    reason = fused.lane_refusal(fused.Trial(0, first))
    if not reason and jax.default_backend() != "cpu":
        return Estimate(positions, 0.0, math.inf, "lanes are what fills an accelerator")
    if by_kind is None:
        unknown = "what they take is not known"
        return Estimate(positions, math.inf, 0.0, reason) if reason else Estimate(positions, 0.0, math.inf, unknown)
    trials, epochs = sum(share.trials for _, share, _ in members), sum(share.epochs for _, share, _ in members)
    trained, validated, _ = fused.row_counts(first)
    steps = epochs * -(-trained // first.experiment.trainer.batch_size)
    # A multiplication and its addition are two operations; a training step takes as many as three forward passes.
    operations = epochs * (6 * trained + 2 * validated)

    def arithmetic_s(rates: dict[str, float]) -> float:
        return sum(operations * count / (rates[kind] * machine.rate) for kind, count in by_kind.items())

    compile_s = max(_COMPILE_S[kind] for kind in {"dense", *by_kind})
    fused_s = compile_s + steps * _LANE_STEP_S / machine.threads + arithmetic_s(_LANE_RATES)
    workers_s = (trials * _TRIAL_S + steps * _STEP_S) / machine.workers + arithmetic_s(_WORKER_RATES)
    if reason:
        return Estimate(positions, math.inf, workers_s, reason)
    is_close = max(fused_s, workers_s) < _CLOSE * min(fused_s, workers_s)
    if not (probes and is_close) or min(fused_s, workers_s) < _MIN_PROBED_S:
        return Estimate(positions, fused_s, workers_s)
    return Estimate(positions, compile_s + steps * _step_s(first), workers_s, probed=True)


def _multiplications_of(prepared: Prepared) -> dict[str, float] | None:
    """Counts the multiplications of a trial's model, see `multiplications`; None if it cannot be built."""
    from kexp.experiment import build_compiled

    try:
        return multiplications(build_compiled(prepared), prepared.splits.spec)
    except (Exception, SystemExit):  # the error is reported when the trial runs
        return None


def _matrix_rate() -> float:
    """Returns the floating-point operations per second of matrix products on all cores.

    It is the best of twelve, because other processes may use the cores.
    """
    import numpy as np

    one = np.ones((512, 512), np.float32)
    times = []
    for _ in range(12):
        started = time.perf_counter()
        one @ one
        times.append(time.perf_counter() - started)
    return 2 * 512**3 / float(min(times))


def _step_s(prepared: Prepared) -> float:
    """Times a compiled training step on all cores; returns seconds."""
    import jax

    from kexp.experiment import build_compiled, feeds

    model = build_compiled(prepared)
    batches = feeds(prepared)[0].epochs(0)
    times = []
    for _ in range(_PROBE_STEPS + 1):  # the first one compiles
        batch = next(batches)
        started = time.perf_counter()
        jax.block_until_ready(model.train_on_batch(*batch))
        times.append(time.perf_counter() - started)
    return min(times[1:])

"""What a structure's trials take as lanes, and what they take in worker processes: what `hydra/launcher=auto` goes by.

A model of the two, in a few measured constants, against this machine's own rate of matrix products; a few steps are
timed only where it comes out close. On a CPU compiled steps win by far where steps are short, and with dense and
recurrent layers of any size; for large convolutions TensorFlow has the faster routines.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

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

# Seconds on a quiet CPU core of 2025; see benchmarks/auto_launcher.py.
START_S = 9.0  # worker processes import TensorFlow
ENGINE_S = 3.0  # the engine's process imports JAX
_TRIAL_S = 1.2  # a trial of theirs builds its model and traces its step
_STEP_S = 2.3e-3  # a step of theirs, besides its arithmetic
_COMPILE_S = {"dense": 1.5, "recurrent": 5.0, "convolution": 6.0}  # planning and compiling a structure
_LANE_STEP_S = 0.15e-3  # a lane's step, besides its arithmetic
# Shares of the machine's rate of matrix products that training reaches.
_AS_LANE = {"dense": 0.8, "recurrent": 0.5, "convolution": 0.28}
_IN_WORKER = {"dense": 0.4, "recurrent": 0.2, "convolution": 0.4}
_CLOSE = 2.0  # estimates within this factor are looked into by a probe
_CLEAR = 1.5  # by this factor lanes must win, for what is compiled before it is decided
_WORTH_S = 60.0  # of work that a probe is worth
_PROBE_STEPS = 3


@dataclass(frozen=True)
class Share:
    """Trials that build the same layers: one of them, how many they are, and the epochs of all together."""

    task: Task
    trials: int
    epochs: int


@dataclass(frozen=True)
class EstimateRequest:
    """Asks what structures take.

    Attributes:
        shares: the trials.
        workers: processes that would run at once.
        threads: programs that would run at once; None for the device's own number.
        log: the file that takes what is printed meanwhile.
    """

    shares: Sequence[Share]
    workers: int
    threads: int | None
    log: str


@dataclass(frozen=True)
class Estimate:
    """What the trials of some shares take.

    Attributes:
        shares: positions of the shares, which are lanes of one program.
        fused_s: seconds as lanes, compilation included.
        workers_s: seconds in worker processes, less their start.
        reason: why there is no choice; empty where the seconds decide.
        probed: whether steps were timed.
    """

    shares: Sequence[int]
    fused_s: float
    workers_s: float
    reason: str = ""
    probed: bool = False


def add_share(shares: dict[str, Share], key: str, task: Task, count: int = 1) -> None:
    """Counts a trial, or a search's trials, to those of its structure."""
    share = shares.get(key, Share(task, 0, 0))
    epochs = share.epochs + count * task.config["trainer"]["epochs"]
    shares[key] = replace(share, trials=share.trials + count, epochs=epochs)


def max_compile_s(shares: Collection[Share]) -> float:
    """What planning and compiling these structures, which have no convolutions, takes at most."""
    return sum(_COMPILE_S["recurrent" if _is_recurrent(share.task.config["model"]) else "dense"] for share in shares)


def component_names(node: Any) -> Iterator[str]:
    """The names of all components in a part of a config."""
    if isinstance(node, Mapping):
        yield from (str(value) for key, value in node.items() if key == "name")
        yield from (name for value in node.values() for name in component_names(value))
    elif isinstance(node, (list, tuple)):
        yield from (name for value in node for name in component_names(value))


def has_foreign_code(config: Mapping[str, Any]) -> bool:
    """Whether any of a trial's components is neither kexp's nor Keras'."""
    from kexp.schema import check

    try:
        chosen = any(node.component.distribution != OURSELVES for node in check(config).nodes())
    except ConfigError:
        return True
    return chosen or any(":" in name for name in component_names(config))


def _is_recurrent(model: Mapping[str, Any]) -> bool:
    return any(kind in name.lower() for name in component_names(model) for kind in ("lstm", "gru", "rnn"))


def min_workers_s(shares: Collection[Share], workers: int) -> float:
    """What worker processes take for these at least: their start, and a beginning for each trial."""
    trials = sum(share.trials for share in shares)
    return START_S + trials * _TRIAL_S / min(workers, trials)


class Estimator:
    """Weighs structures, in the engine's process, and remembers what is in each."""

    def __init__(self, prepare: Callable[[Task], Prepared]) -> None:
        self._prepare = prepare
        self._products: dict[str, list[tuple[str, float]] | None] = {}

    def weigh(self, asked: EstimateRequest, probes: bool = True) -> list[Estimate]:
        """What each structure takes, by the model and, where that is close, a probe."""
        from kexp import fused

        fused.use_compilation_cache()
        groups: dict[str, list[tuple[int, Share, Prepared]]] = {}
        for position, share in enumerate(asked.shares):
            try:
                prepared = self._prepare(share.task)
            except (Exception, SystemExit):
                continue  # told when it is to run
            groups.setdefault(fused.structure_key(prepared), []).append((position, share, prepared))
        for key, members in groups.items():
            if key not in self._products:
                self._products[key] = _products(members[0][2])
        rate = _rate()
        threads = asked.threads or fused.default_threads()
        workers = min(asked.workers, sum(share.trials for share in asked.shares))
        return [_weigh(members, self._products[key], rate, workers, threads, probes) for key, members in groups.items()]

    def clear(self, asked: EstimateRequest) -> bool:
        """Whether lanes win by so much that they will be chosen, though what else is at work now slows the estimate."""
        weighed = self.weigh(asked, probes=False)
        return bool(weighed) and all(each.fused_s * _CLEAR < START_S + each.workers_s for each in weighed)


def _weigh(
    members: Sequence[tuple[int, Share, Prepared]],
    products: Sequence[tuple[str, float]] | None,
    rate: float,
    workers: int,
    threads: int,
    probes: bool,
) -> Estimate:
    import jax

    from kexp import fused

    positions = [position for position, *_ in members]
    first = members[0][2]
    reason = fused.lane_refusal(fused.Trial(0, first))
    if not reason and jax.default_backend() != "cpu":
        return Estimate(positions, 0.0, math.inf, "lanes are what fills an accelerator")
    if products is None:
        unknown = "what they take is not known"
        return Estimate(positions, math.inf, 0.0, reason) if reason else Estimate(positions, 0.0, math.inf, unknown)
    trials, epochs = sum(share.trials for _, share, _ in members), sum(share.epochs for _, share, _ in members)
    trained, validated, _ = fused.row_counts(first)
    steps = epochs * -(-trained // first.experiment.trainer.batch_size)
    operations = epochs * (6 * trained + 2 * validated)
    kinds = {kind for kind, _ in products} | {"dense"}

    def arithmetic_s(shares: dict[str, float]) -> float:
        return sum(operations * count / (shares[kind] * rate) for kind, count in products)

    compile_s = max(_COMPILE_S[kind] for kind in kinds)
    fused_s = compile_s + steps * _LANE_STEP_S / threads + arithmetic_s(_AS_LANE)
    workers_s = (trials * _TRIAL_S + steps * _STEP_S) / workers + arithmetic_s(_IN_WORKER)
    if reason:
        return Estimate(positions, math.inf, workers_s, reason)
    close = max(fused_s, workers_s) < _CLOSE * min(fused_s, workers_s)
    if not (probes and close) or min(fused_s, workers_s) < _WORTH_S:
        return Estimate(positions, fused_s, workers_s)
    return Estimate(positions, compile_s + steps * _step_s(first), workers_s, probed=True)


def _products(prepared: Prepared) -> list[tuple[str, float]] | None:
    """The multiplications of a forward pass for one row, by kind; None where there is no model."""
    from kexp.experiment import build_compiled

    try:
        return list(multiplications(build_compiled(prepared), prepared.splits.spec).items())
    except (Exception, SystemExit):  # the engine says what is wrong with it
        return None


def _rate(tries: int = 12) -> float:
    """Floating-point operations a second of matrix products on all cores: the best, for others may be at work."""
    import numpy as np

    one = np.ones((512, 512), np.float32)
    times = []
    for _ in range(tries):
        started = time.perf_counter()
        one @ one
        times.append(time.perf_counter() - started)
    return 2 * 512**3 / float(min(times))


def _step_s(prepared: Prepared) -> float:
    """Seconds of a training step on all cores, once it is compiled."""
    import jax

    from kexp.experiment import build_compiled, feeds

    model = build_compiled(prepared)
    batches = feeds(prepared)[0].epochs(0)
    times = []
    for _ in range(_PROBE_STEPS + 1):
        batch = next(batches)
        started = time.perf_counter()
        jax.block_until_ready(model.train_on_batch(*batch))
        times.append(time.perf_counter() - started)
    return min(times[1:])

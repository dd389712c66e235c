"""Plans which trials become lanes of which program, and which cannot be lanes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kexp.errors import ConfigError, in_a_line
from kexp.fused.functional.lowering import device_count
from kexp.fused.inputs.config_numbers import ConfigPath, changes_of, numbers_after, numbers_of
from kexp.fused.lanes.streams import Group, fed_in_blocks
from kexp.fused.program.tables import Tables
from kexp.fused.shared import TRACING_LOCK
from kexp.fused.structure.analysis import analyse
from kexp.fused.structure.grouping import (
    distinguishing_settings,
    group_by_structure,
    lane_refusal,
    rows_digest,
    structure_key,
)
from kexp.fused.structure.structure import NotFusableError, Structure
from kexp.fused.trial import Trial
from kexp.training.process.compiled_programs import use_compilation_cache

__all__ = ["Fallback", "Plan", "Session", "default_width", "plan"]

# Lanes on each device. On a CPU more lanes gain a tenth at most; a GPU needs many. See benchmarks/RESULTS.md.
CPU_WIDTH = 4
GPU_WIDTH = 256


@dataclass(frozen=True)
class Fallback:
    """A trial that cannot be a lane, and the reason, as a sentence."""

    trial: Trial
    reason: str


@dataclass
class Plan:
    """The groups of trials that run as lanes, and the trials that cannot."""

    groups: list[Group]
    fallbacks: list[Fallback]


class Session:
    """Keeps structures and their programs between calls, for a sweep that passes a few trials at a time."""

    def __init__(self) -> None:
        self._structures: dict[str, list[Structure]] = {}

    def structures(self, key: str) -> list[Structure]:
        """Returns the structures with this key, one for each set of constants and branches; the caller adds more."""
        return self._structures.setdefault(key, [])


def plan(trials: Sequence[Trial], *, width: int | None = None, session: Session | None = None) -> Plan:
    """Groups trials by program. Builds one or two models for each structure and traces them; trains nothing.

    Args:
        trials: their experiments have `backend: jax`, and Keras runs on JAX in this process.
        width: number of lanes of a program; None for each trial's `fused.max_lanes`, or else the device's default.
        session: the structures of earlier calls; new ones are added.

    Raises:
        ConfigError: Keras runs on another backend.
    """
    _check_backend()
    use_compilation_cache()
    planned = Plan([], [])
    candidates = []
    for trial in trials:
        reason = lane_refusal(trial)
        if reason:
            planned.fallbacks.append(Fallback(trial, reason))
        else:
            candidates.append(trial)
    tables = Tables()
    structures = group_by_structure(candidates)
    session = session or Session()
    for key, members in structures.items():
        why = distinguishing_settings(key, list(structures))
        for lanes, some in _by_max_lanes(members, width).items():
            _plan_structure(planned, some, session.structures(key), tables, lanes, why)
            why = "another fused.max_lanes"
    return planned


def default_width() -> int:
    """Returns the default number of lanes of a program, for all local devices together."""
    import jax

    return device_count() * (CPU_WIDTH if jax.default_backend() == "cpu" else GPU_WIDTH)


def _by_max_lanes(trials: Sequence[Trial], width: int | None) -> dict[int | None, list[Trial]]:
    """Groups trials by the width that the caller or `fused.max_lanes` asks for; None leaves it to the device."""
    found: dict[int | None, list[Trial]] = {}
    for trial in trials:
        found.setdefault(width or trial.prepared.experiment.fused.max_lanes, []).append(trial)
    return found


def _plan_structure(
    planned: Plan, members: list[Trial], known: list[Structure], tables: Tables, width: int | None, why: str
) -> None:
    """Splits trials with the same structure key into groups: by constants, and by Python branches on numbers.

    Args:
        planned: the plan, to which groups and fallbacks are added.
        members: the trials.
        known: the structures of this key that were analysed before; new ones are added.
        tables: the data on the device.
        width: number of lanes; None for the device's default.
        why: what distinguishes these trials from other groups, for the first group.
    """
    waiting = members
    constants = known[-1].constants if known else frozenset[ConfigPath]()
    untried = list(known)
    while waiting:
        first = waiting[0]
        is_new = not untried
        if is_new:
            try:
                with TRACING_LOCK:
                    structure = analyse(first.prepared, tables.first_batches(first.prepared, 2), constants)
            except Exception as error:
                is_sentence = isinstance(error, (NotFusableError, ConfigError))
                planned.fallbacks.append(Fallback(first, str(error) if is_sentence else in_a_line(error)))
                waiting = waiting[1:]
                continue
            known.append(structure)
            constants = structure.constants
        else:
            structure = untried.pop(0)
        fitting = [trial for trial in waiting if _fits(trial, structure)]
        if is_new and not fitting:
            planned.fallbacks.append(Fallback(first, "the trial does not fit the program that was made for it"))
            waiting = waiting[1:]
            continue
        refusals = {id(trial): reason for trial in fitting if (reason := _change_refusal(trial, structure))}
        planned.fallbacks += [Fallback(trial, refusals[id(trial)]) for trial in fitting if id(trial) in refusals]
        lanes = [trial for trial in fitting if id(trial) not in refusals]
        if lanes:
            group_why = f"{why}, its data fed in blocks" if fed_in_blocks(first.prepared) else why
            number, is_given = len(planned.groups) + 1, width is not None
            planned.groups.append(Group(number, lanes, group_why, width or default_width(), structure, is_given))
            why = _why_split(constants)
        taken = {id(trial) for trial in fitting}
        waiting = [trial for trial in waiting if id(trial) not in taken]


def _fits(trial: Trial, structure: Structure) -> bool:
    """Returns whether a trial with the structure's key can be a lane of its program."""
    representative, constants = structure.blueprint.prepared, structure.constants
    return (
        (not constants or structure_key(trial.prepared, constants) == structure.key)
        and structure.functions.inputs.has_same_branches(numbers_of(trial.prepared.experiment))
        and (not structure.shares_rows or rows_digest(trial.prepared) == rows_digest(representative))
    )


def _change_refusal(trial: Trial, structure: Structure) -> str:
    """Returns why a number that the trial changes during training cannot change, as a sentence; else empty."""
    experiment = trial.prepared.experiment
    changes = changes_of(experiment)
    changeable = _dotted(structure.changeable - structure.constants)
    for key in [*trial.varies, *(".".join(map(str, path)) for path in changes)]:
        if key not in changeable:
            return f"{key}: cannot change while a model trains, for {_why_fixed(key, structure)}"
    for epoch in sorted({epoch for values in changes.values() for epoch in values}):
        if not structure.functions.inputs.has_same_branches(numbers_after(experiment, epoch)):
            return f"trainer.changes: Keras computes something else with the numbers from epoch {epoch + 1} on"
    return ""


def _why_fixed(key: str, structure: Structure) -> str:
    if key not in _dotted(numbers_of(structure.blueprint.prepared.experiment)):
        return "it is part of the model's structure here, and no number that steps read"
    if key in _dotted(structure.constants):
        return "it is a constant of the compiled program"
    return "it is read at the beginning alone"


def _why_split(constants: frozenset[ConfigPath]) -> str:
    if not constants:
        return "Keras computes something else for these numbers"
    return f"{', '.join(sorted(_dotted(constants)))} cannot be an input of a program"


def _dotted(paths: Iterable[ConfigPath]) -> set[str]:
    """Returns config keys as the user writes them."""
    return {".".join(map(str, path)) for path in paths}


def _check_backend() -> None:
    import keras

    if keras.config.backend() != "jax":
        raise ConfigError(
            f"backend: compiled programs run on jax, but this process has imported Keras on {keras.config.backend()}"
        )

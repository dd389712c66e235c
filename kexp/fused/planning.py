"""Which trials become lanes of which programs, and which cannot be lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kexp.errors import ConfigError, in_a_line
from kexp.fused.functional.lowering import device_count
from kexp.fused.inputs.config_numbers import Key, changes_of, numbers_after, numbers_of
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

CPU_WIDTH = 4
GPU_WIDTH = 256


@dataclass(frozen=True)
class Fallback:
    """A trial that cannot be a lane, and why, as a sentence."""

    trial: Trial
    reason: str


@dataclass
class Plan:
    """What would run as lanes, in which groups, and what would not."""

    groups: list[Group]
    fallbacks: list[Fallback]


class Session:
    """Structures and programs that were made before, for a sweep that hands over its trials a few at a time."""

    def __init__(self) -> None:
        self._known: dict[str, list[Structure]] = {}

    def of(self, key: str) -> list[Structure]:
        """What is known of a structure's key: one for each set of constants and branches."""
        return self._known.setdefault(key, [])


def plan(
    trials: Sequence[Trial], *, width: int | None = None, strict: bool = False, session: Session | None = None
) -> Plan:
    """Groups trials by program. Builds a model or two for each structure and traces them; trains nothing.

    Args:
        trials: whose experiments have `backend: jax`, in a process whose Keras runs on JAX.
        width: lanes of a program; by each trial's `fused.max_lanes` or else the device unless given.
        strict: a trial that cannot be a lane is an error.
        session: what was made for earlier calls is used again, and what is made is kept there.

    Raises:
        ConfigError: `strict`, and a trial cannot be a lane; or Keras runs on another backend.
    """
    _hold_backend()
    use_compilation_cache()
    made = Plan([], [])
    fit_for_lanes = []
    for trial in trials:
        reason = lane_refusal(trial)
        if reason:
            made.fallbacks.append(Fallback(trial, reason))
        else:
            fit_for_lanes.append(trial)
    tables = Tables()
    structures = group_by_structure(fit_for_lanes)
    session = session or Session()
    for key, members in structures.items():
        why = distinguishing_settings(key, list(structures))
        for lanes, some in _by_lanes(members, width).items():
            _plan_structure(made, some, session.of(key), tables, lanes, why)
            why = "another fused.max_lanes"
    if strict and made.fallbacks:
        first = made.fallbacks[0]
        raise ConfigError(f"fused.strict: trial {first.trial.key} cannot be fused; {first.reason}")
    return made


def default_width() -> int:
    """Lanes of a program: on each device few on a CPU, where wider programs gain nothing, and many on a GPU."""
    import jax

    return device_count() * (CPU_WIDTH if jax.default_backend() == "cpu" else GPU_WIDTH)


def _by_lanes(trials: Sequence[Trial], width: int | None) -> dict[int | None, list[Trial]]:
    """Trials by the lanes of their program that were asked for; None where that was left to the device."""
    found: dict[int | None, list[Trial]] = {}
    for trial in trials:
        found.setdefault(width or trial.prepared.experiment.fused.max_lanes, []).append(trial)
    return found


def _plan_structure(
    made: Plan, members: list[Trial], known: list[Structure], tables: Tables, width: int | None, why: str
) -> None:
    """Cuts trials of one structure into groups: by numbers that are no inputs, and by branches."""
    waiting = members
    constants = known[-1].constants if known else frozenset[Key]()
    tried = list(known)
    while waiting:
        first = waiting[0]
        structure = tried.pop(0) if tried else None
        if structure is None:
            try:
                with TRACING_LOCK:
                    structure = analyse(first.prepared, tables.first_batches(first.prepared, 2), constants)
            except Exception as error:
                is_sentence = isinstance(error, (NotFusableError, ConfigError))
                made.fallbacks.append(Fallback(first, str(error) if is_sentence else in_a_line(error)))
                waiting = waiting[1:]
                continue
            known.append(structure)
            constants = structure.constants
        mine = [trial for trial in waiting if _fits(trial, structure)]
        taken = {id(trial) for trial in mine}
        stiff = {id(trial): refusal for trial in mine if (refusal := _cannot_change(trial, structure))}
        made.fallbacks += [Fallback(trial, stiff[id(trial)]) for trial in mine if id(trial) in stiff]
        mine = [trial for trial in mine if id(trial) not in stiff]
        if mine:
            number, lanes = len(made.groups) + 1, width or default_width()
            said = f"{why}, its data fed in blocks" if fed_in_blocks(first.prepared) else why
            made.groups.append(Group(number, mine, said, lanes, structure, given=width is not None))
            why = _why_split(constants)
        elif not taken and structure is known[-1] and not tried and structure.blueprint.prepared is first.prepared:
            made.fallbacks.append(Fallback(first, "the trial does not fit the program that was made for it"))
            taken = {id(first)}
        waiting = [trial for trial in waiting if id(trial) not in taken]


def _fits(trial: Trial, structure: Structure) -> bool:
    """Whether a trial, of the structure's key, can be a lane of its program."""
    theirs, constants = structure.blueprint.prepared, structure.constants
    return (
        (not constants or structure_key(trial.prepared, constants) == structure.key)
        and structure.lane.slots.agree(numbers_of(trial.prepared.experiment))
        and (not structure.shares_rows or rows_digest(trial.prepared) == rows_digest(theirs))
    )


def _cannot_change(trial: Trial, structure: Structure) -> str:
    """Why a number of a trial that changes while it trains cannot; empty where all can."""
    experiment = trial.prepared.experiment
    changes = changes_of(experiment)
    changeable = {".".join(map(str, key)) for key in structure.changeable - structure.constants}
    for key in [*trial.varies, *(".".join(map(str, each)) for each in changes)]:
        if key not in changeable:
            return f"{key}: cannot change while a model trains, for {_whereof(key, structure)}"
    for epoch in sorted({epoch for values in changes.values() for epoch in values}):
        if not structure.lane.slots.agree(numbers_after(experiment, epoch)):
            return f"trainer.changes: Keras computes something else with the numbers from epoch {epoch + 1} on"
    return ""


def _whereof(key: str, structure: Structure) -> str:
    numbers = {".".join(map(str, each)) for each in numbers_of(structure.blueprint.prepared.experiment)}
    if key not in numbers:
        return "it is part of the model's structure here, and no number that steps read"
    if key in {".".join(map(str, each)) for each in structure.constants}:
        return "it is a constant of the compiled program"
    return "it is read at the beginning alone"


def _why_split(constants: frozenset[Key]) -> str:
    if not constants:
        return "Keras computes something else for these numbers"
    return f"{', '.join(sorted('.'.join(map(str, key)) for key in constants))} cannot be an input of a program"


def _hold_backend() -> None:
    import keras

    if keras.config.backend() != "jax":
        raise ConfigError(
            f"backend: compiled programs run on jax, but this process has imported Keras on {keras.config.backend()}"
        )

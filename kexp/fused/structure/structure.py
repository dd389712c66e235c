"""What the trials of a group share, as `analyse` finds it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kexp.fused.functional.blueprint import Blueprint
from kexp.fused.functional.initial_state import InitialState
from kexp.fused.functional.lane_functions import LaneFunctions
from kexp.fused.inputs.config_numbers import Key
from kexp.fused.structure.grouping import rows_digest, structure_key

__all__ = ["NotFusableError", "Structure"]


class NotFusableError(Exception):
    """This trial cannot be a lane. The message is a sentence that names the component."""


@dataclass
class Structure:
    """A model that many trials share, and what they may differ in.

    Attributes:
        blueprint: the representative's model.
        constants: numbers that cannot be inputs; trials that differ in them do not share a program.
        lane: the pure functions.
        beginning: how a lane's variables start.
        given: positions in the state that initializers do not make: fitted on the data, or made in another way.
        rebuilt: whether those need a build of each trial's model; else they follow the training rows alone.
        changeable: numbers that may change while a lane trains: they are read at every step.
        shares_rows: whether the program contains what a layer learned from the training rows, so that its lanes must
            have the same training rows.
        programs: those that were compiled for it, by their width.
        fitting: widths that did not fit into memory, and whether they were asked for -> the one that did, and why, as
            a sentence.
    """

    blueprint: Blueprint
    constants: frozenset[Key]
    lane: LaneFunctions
    beginning: InitialState
    given: tuple[int, ...] = ()
    rebuilt: bool = False
    shares_rows: bool = False
    changeable: frozenset[Key] = frozenset()
    programs: dict[int, Any] = field(default_factory=dict, repr=False)
    fitting: dict[tuple[int, bool], tuple[int, str]] = field(default_factory=dict, repr=False)

    @cached_property
    def key(self) -> str:
        """What its trials' configs and data have in common."""
        return structure_key(self.blueprint.prepared, self.constants)

    @property
    def digest(self) -> str:
        """What tells it from others, in any process."""
        parts = [self.key, *sorted(map(repr, self.lane.slots.branches.items()))]
        if self.shares_rows:
            parts.append(rows_digest(self.blueprint.prepared))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

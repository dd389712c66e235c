"""The structure that the trials of a group share, as `analyse` finds it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kexp.fused.functional.blueprint import Blueprint
from kexp.fused.functional.initial_state import InitialState
from kexp.fused.functional.lane_functions import LaneFunctions
from kexp.fused.inputs.config_numbers import ConfigPath
from kexp.fused.structure.grouping import rows_digest, structure_key

__all__ = ["NotFusableError", "Structure"]


class NotFusableError(Exception):
    """A trial cannot be a lane. The message is a sentence that names the component."""


@dataclass
class Structure:
    """A model that many trials share, and the numbers in which they may differ.

    Attributes:
        blueprint: the model of the representative, the trial that was analysed.
        constants: numbers that cannot be inputs; trials that differ in them do not share a program.
        functions: the pure functions of one lane.
        initial_state: the first values of the variables that initializers and numbers give.
        adapted: positions in the state of the variables whose first value comes from elsewhere: layers learn it from
            the data, or other code sets it.
        needs_rebuild: whether those need each trial's model to be built; else they depend on the training rows alone.
        shares_rows: whether the program contains what a layer learned from the training rows, so that its lanes must
            have the same training rows.
        changeable: numbers that may change during training, because they are read in every step.
        programs: the compiled programs by width.
        fitting_widths: (width, whether the user chose it) that did not fit into memory -> the width that did, and a
            sentence why.
    """

    blueprint: Blueprint
    constants: frozenset[ConfigPath]
    functions: LaneFunctions
    initial_state: InitialState
    adapted: tuple[int, ...]
    needs_rebuild: bool
    shares_rows: bool
    changeable: frozenset[ConfigPath]
    programs: dict[int, Any] = field(default_factory=dict, repr=False)
    fitting_widths: dict[tuple[int, bool], tuple[int, str]] = field(default_factory=dict, repr=False)

    @cached_property
    def key(self) -> str:
        """The part of the config and data that its trials have in common; see `structure_key`."""
        return structure_key(self.blueprint.prepared, self.constants)

    @property
    def digest(self) -> str:
        """A hash that identifies the structure in any process."""
        parts = [self.key, *sorted(map(repr, self.functions.inputs.branches.items()))]
        if self.shares_rows:
            parts.append(rows_digest(self.blueprint.prepared))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

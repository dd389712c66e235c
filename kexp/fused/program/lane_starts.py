"""The first state of the lanes of a program: what is compiled into it, and what each lane is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kexp.experiment import Prepared
from kexp.fused.functional.blueprint import build_blueprint
from kexp.fused.inputs.config_numbers import ConfigPath
from kexp.fused.shared import TRACING_LOCK
from kexp.fused.structure.grouping import rows_digest
from kexp.fused.structure.structure import Structure

__all__ = ["LaneStarts"]


class LaneStarts:
    """Starts lanes.

    Args:
        structure: the structure of the lanes.
        first_batch: a batch of training rows, on which models are built.

    Attributes:
        constants: the first values that are the same for all lanes, by position in the state.
        positions: the positions in the state of the variables whose first values each lane is given.
    """

    def __init__(self, structure: Structure, first_batch: Any) -> None:
        self._structure, self._first_batch = structure, first_batch
        self._adapted: dict[str, list[Any]] = {}
        self.constants = structure.initial_state.constants()
        self.positions = tuple(sorted({*structure.initial_state.varying, *structure.adapted}))

    def start(self, old: Any, is_fresh: Any, given: Any) -> Any:
        """Returns a lane's state: its first state if `is_fresh`, else the old one. To be compiled.

        Args:
            old: the lane's variables.
            is_fresh: whether a trial begins in the lane, a traced boolean.
            given: the first values of the variables at `positions`.
        """
        import jax.numpy as jnp

        first = {**self.constants, **dict(zip(self.positions, given, strict=True))}
        return [jnp.where(is_fresh, _compact(first[position]), kept) for position, kept in enumerate(old)]

    def given(self, prepared: Prepared, numbers: Mapping[ConfigPath, Any]) -> list[Any]:
        """Returns a trial's first values of the variables at `positions`.

        Args:
            prepared: the trial.
            numbers: its numbers at the start of training.
        """
        values = self._structure.initial_state.values(numbers, prepared.experiment.seed)
        values |= dict(zip(self._structure.adapted, self._adapted_values(prepared), strict=True))
        return [values[position] for position in self.positions]

    def _adapted_values(self, prepared: Prepared) -> list[Any]:
        """Returns a trial's first values that no initializer gives; see `Structure.adapted`."""
        structure = self._structure
        if not structure.adapted:
            return []
        if structure.needs_rebuild:
            with TRACING_LOCK:
                state = build_blueprint(prepared, self._first_batch).state()
            return [state[position] for position in structure.adapted]
        key = rows_digest(prepared)
        if key not in self._adapted:
            with TRACING_LOCK:
                self._adapted[key] = _adapt(structure, prepared)
        return self._adapted[key]


def _compact(value: Any) -> Any:
    """Returns an array of equal numbers as a broadcast scalar, which takes no memory in a program."""
    import jax.numpy as jnp
    import numpy as np

    if isinstance(value, np.ndarray) and value.size and (value == value.flat[0]).all():
        return jnp.full(value.shape, value.flat[0], value.dtype)
    return value


def _adapt(structure: Structure, prepared: Prepared) -> list[Any]:
    """Adapts the model's layers to a trial's training rows; returns the variables at `Structure.adapted`."""
    import numpy as np

    from kexp.model import adapt

    part, model = prepared.splits.train, structure.blueprint.model

    def chunks() -> Any:
        for start in range(0, len(part), 8192):
            yield part.batch(np.arange(start, min(start + 8192, len(part)), dtype=np.intp))[0]

    adapt(model, chunks, pooled=prepared.spec.image_shape is not None)
    variables = structure.blueprint.variables
    return [np.array(variables[position].value) for position in structure.adapted]

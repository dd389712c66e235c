"""How the lanes of a program begin: what is compiled into it, and what each lane is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kexp.experiment import Prepared
from kexp.fused.functional.blueprint import build_blueprint
from kexp.fused.shared import TRACING_LOCK
from kexp.fused.structure.grouping import rows_digest
from kexp.fused.structure.structure import Structure

__all__ = ["LaneStarts"]


class LaneStarts:
    """The starts of lanes.

    Args:
        structure: the lanes'.
        first_batch: a batch of training rows, to build models on.

    Attributes:
        constants: the values of those that are the same for all lanes, by their positions in the state.
        places: positions in the state of the variables that a lane's start is given.
    """

    def __init__(self, structure: Structure, first_batch: Any) -> None:
        self._structure, self._first_batch = structure, first_batch
        self._fitted: dict[str, list[Any]] = {}
        self.constants = structure.beginning.constants()
        self.places = tuple(sorted({*structure.beginning.varying, *structure.given}))

    def start(self, old: Any, fresh: Any, given: Any) -> Any:
        """A lane's state: as it was, or where it is fresh as a model begins. A function to be compiled."""
        import jax.numpy as jnp

        made = {**self.constants, **dict(zip(self.places, given, strict=True))}
        return [jnp.where(fresh, _compact(made[place]), kept) for place, kept in enumerate(old)]

    def given(self, prepared: Prepared, numbers: Mapping[Any, Any]) -> list[Any]:
        """A lane's values for `places`.

        Args:
            prepared: its trial.
            numbers: the lane's own.
        """
        made = self._structure.beginning.values(numbers, prepared.experiment.seed)
        made |= dict(zip(self._structure.given, self._not_made(prepared), strict=True))
        return [made[place] for place in self.places]

    def _not_made(self, prepared: Prepared) -> list[Any]:
        """What initializers do not make: learnt from the training rows, or made in a way of its own."""
        structure = self._structure
        if not structure.given:
            return []
        if structure.rebuilt:
            with TRACING_LOCK:
                state = build_blueprint(prepared, self._first_batch).state()
            return [state[position] for position in structure.given]
        key = rows_digest(prepared)
        if key not in self._fitted:
            with TRACING_LOCK:
                self._fitted[key] = _fitted(structure, prepared)
        return self._fitted[key]


def _compact(value: Any) -> Any:
    """A constant array that is one number throughout takes no room in a program."""
    import jax.numpy as jnp
    import numpy as np

    if isinstance(value, np.ndarray) and value.size and (value == value.flat[0]).all():
        return jnp.full(value.shape, value.flat[0], value.dtype)
    return value


def _fitted(structure: Structure, prepared: Prepared) -> list[Any]:
    """What layers that learn from the data itself learn from this trial's training rows."""
    import numpy as np

    from kexp.model import adapt

    part, model = prepared.splits.train, structure.blueprint.model

    def chunks() -> Any:
        for start in range(0, len(part), 8192):
            yield part.batch(np.arange(start, min(start + 8192, len(part)), dtype=np.intp))[0]

    adapt(model, chunks, pooled=prepared.spec.image_shape is not None)
    variables = structure.blueprint.variables
    return [np.array(variables[position].value) for position in structure.given]

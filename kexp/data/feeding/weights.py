"""Class weights of the config, by class index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from kexp.data.splitting.parts import Part

__all__ = ["class_weights"]

KEY = "trainer.class_weight"


def class_weights(part: Part, spec: str | Mapping[Any, float] | None) -> dict[int, float] | None:
    """Return the weight of each class.

    Args:
        part: the training part, whose rows "balanced" counts.
        spec: None; "balanced", which is n / (k * count) for n rows and k classes, so that the weights of each class
            have the same sum; or class name or index -> weight, with 1 for classes that are left out.

    Returns:
        Class index -> weight; None if `spec` is None.

    Raises:
        DataError: rows have no class, a weight is below 0, or a class has no rows for "balanced".
        UnknownNameError: a class does not exist.
    """
    if spec is None:
        return None
    if part.spec.task != "classification":
        task = "a regression" if part.spec.task == "regression" else "several labels a row"
        raise DataError(f"{KEY}: needs classes as targets, but the data is {task}")
    if part.spec.positions:
        raise DataError(f"{KEY}: needs one class a row, but the data has one at each of {part.spec.positions}")
    names = part.spec.classes or tuple(str(index) for index in range(part.spec.outputs))
    if spec == "balanced":
        counts = np.bincount(part.labels, minlength=part.spec.outputs)
        if (counts == 0).any():
            missing = names[int(np.argmin(counts))]
            raise DataError(f"{KEY}: balanced needs training rows of every class, got none of {missing!r}")
        return {index: float(len(part) / (len(counts) * count)) for index, count in enumerate(counts)}
    if not isinstance(spec, Mapping):
        raise DataError(f"{KEY}: must be null, balanced or weights by class, got {spec!r}")
    weights = dict.fromkeys(range(len(names)), 1.0)
    for name, weight in spec.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
            raise DataError(f"{KEY}.{name}: must be a number of at least 0, got {weight!r}")
        weights[_class_index(name, names)] = float(weight)
    return weights


def _class_index(name: Any, names: tuple[str, ...]) -> int:
    if str(name) in names:
        return names.index(str(name))
    if str(name).isdigit() and int(name) < len(names):
        return int(name)
    raise UnknownNameError(KEY, "class", name, names)

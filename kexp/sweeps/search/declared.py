"""The space that a model's own code declares, as for KerasTuner: what a search takes where it is given no axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kexp import registry
from kexp.hyperparameters import Tunable, axes_of
from kexp.sweeps.search.grammar import as_text, domain_of
from kexp.sweeps.search.space import Axis

__all__ = ["declared_axes"]


def declared_axes(config: Mapping[str, Any], fixed: Sequence[str]) -> tuple[Axis, ...]:
    """An axis for each hyperparameter that the model declares and nobody has set; none for any other model.

    Args:
        config: the sweep's, composed of `fixed`.
        fixed: overrides with one value.
    """
    name = config["model"]["name"]
    made = registry.find("model", name).load() if ":" in name else None
    if not isinstance(made, Tunable):
        return ()
    given = {each.partition("=")[0] for each in fixed}
    axes = {
        parameter: Axis(
            f"model.{parameter}",
            f"model.{parameter}",
            domain_of(f"model.{parameter}", what),
            tuple((f"model.{parent}", tuple(as_text(value) for value in values)) for parent, values in when),
        )
        for parameter, (what, when) in axes_of(made.space).items()
        if f"model.{parameter}" not in given
    }
    there = {axis.name for axis in axes.values()}
    return tuple(
        Axis(axis.name, axis.key, axis.domain, tuple(each for each in axis.when if each[0] in there))
        for axis in axes.values()
    )

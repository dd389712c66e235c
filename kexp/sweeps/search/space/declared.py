"""The search space that a model's own code declares, as for KerasTuner. It is used if the user gives no axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kexp import registry
from kexp.registry.hyperparameters import Tunable, axes_of
from kexp.sweeps.search.space.axes import Axis
from kexp.sweeps.search.space.grammar import domain_of, to_grammar

__all__ = ["declared_axes"]


def declared_axes(config: Mapping[str, Any], fixed: Sequence[str]) -> tuple[Axis, ...]:
    """Returns an axis for each hyperparameter that the model declares and that no override sets.

    Args:
        config: the sweep's config, composed of `fixed`.
        fixed: overrides with one value.

    Returns:
        The axes; empty if the model declares no space.
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
            domain_of(f"model.{parameter}", values),
            tuple((f"model.{parent}", tuple(to_grammar(value) for value in values)) for parent, values in when),
        )
        for parameter, (values, when) in axes_of(made.space).items()
        if f"model.{parameter}" not in given
    }
    names = {axis.name for axis in axes.values()}
    return tuple(
        Axis(axis.name, axis.key, axis.domain, tuple(each for each in axis.when if each[0] in names))
        for axis in axes.values()
    )

"""How a component of somebody's own would train: the targets that it takes, and whether its trials can be lanes."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kexp.errors import ConfigError

if TYPE_CHECKING:
    from kexp.experiment import Prepared
    from kexp.fused import Plan

__all__ = ["can_be_tried", "tried"]

# What chooses a member of each group, as overrides.
_CHOICES = {
    "optimizer": "optimizer={}",
    "schedule": "optimizer=sgd schedule={}",
    "loss": "loss={}",
    "metrics": "metrics=[{}]",
    "activation": "activation={}",
    "layer": "model=sequential model.layers=[{}]",
    "model": "model={}",
    "callbacks": "callbacks=[{}]",
    "initializer": "model.kernel_initializer={}",
    "regularizer": "model.kernel_regularizer={}",
    "constraint": "model.kernel_constraint={}",
}


def can_be_tried(group: str) -> bool:
    """Whether members of the group take part in a training, and there is JAX to try it on."""
    return group in _CHOICES and importlib.util.find_spec("jax") is not None


def tried(group: str, name: str, overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is found out by preparing an experiment with the component. Trains nothing; Keras must be on JAX.

    Args:
        group: the component's group.
        name: its name.
        overrides: what else the experiment is to be: its data, say.

    Yields:
        (label, text) of what a run would say, and of whether a sweep's trials can be lanes.
    """
    from kexp import fused, training
    from kexp.config import compose_typed, plain
    from kexp.experiment import build_compiled, prepare
    from kexp.schema import check

    chosen = _CHOICES[group].format(name).split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            experiment = check(plain(compose_typed([*chosen, *overrides, "backend=jax", "tracking=none"])))
            training.prepare_backend("jax")
            prepared = prepare(experiment)
            yield from prepared.notices
            build_compiled(prepared)  # what does not fit the data says so
            planned = fused.plan([fused.Trial(0, prepared)])
        except ConfigError as error:
            yield "lane", f"not known: {error}"
            return
    yield "lane", _lane(prepared, planned)


def _lane(prepared: Prepared, planned: Plan) -> str:
    with_data = f"with data={prepared.experiment.data.name}"
    if planned.fallbacks:
        return f"no, {with_data}: {planned.fallbacks[0].reason}; a sweep runs its trials in worker processes"
    return f"yes, {with_data}: a sweep's trials share a compiled program"

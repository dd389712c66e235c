"""Preview of a user's component: how it would train, and whether trials with it can be lanes."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kexp.errors import ConfigError

if TYPE_CHECKING:
    from kexp.experiment import Prepared
    from kexp.fused import Plan

__all__ = ["can_preview", "preview"]

# Group -> overrides that choose a component of it.
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


def can_preview(group: str) -> bool:
    """Returns whether components of the group take part in a training and JAX is installed."""
    return group in _CHOICES and importlib.util.find_spec("jax") is not None


def preview(group: str, name: str, overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Prepares an experiment with the component, without training. Keras must be on JAX.

    Args:
        group: the component's group.
        name: its name.
        overrides: the rest of the experiment, such as its data.

    Yields:
        (label, text) for each notice of the run, and for whether trials can be lanes.
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
            build_compiled(prepared)  # raises if the component does not fit the data
            planned = fused.plan([fused.Trial(0, prepared)])
        except ConfigError as error:
            yield "lane", f"not known: {error}"
            return
    yield "lane", _lane_line(prepared, planned)


def _lane_line(prepared: Prepared, planned: Plan) -> str:
    with_data = f"with data={prepared.experiment.data.name}"
    if planned.fallbacks:
        return f"no, {with_data}: {planned.fallbacks[0].reason}; a sweep runs its trials in worker processes"
    return f"yes, {with_data}: a sweep's trials share a compiled program"

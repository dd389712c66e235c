"""A lane ends as `keras.fit` with `backend=jax` does, and as it does alone: for every component that is registered.

Two lanes of one program differ in every number that the component has, and in the seed. The one that the program was
not built with is set against `keras.fit`, in every epoch's metrics, the test's and the final weights, and against
itself trained alone, bit for bit.

The tolerance is 2e-5 of a number and 2e-6 in any case (`made.assert_same_as_fit`): both forms compute in float32, whose
numbers lie 1.2e-7 apart, in another order, and these trainings of ten steps at moderate rates carry that a little way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lane_cases
import made
import pytest
from lane_cases import Case

from kexp import fused
from kexp.fused import LaneResult
from kexp.registry import find, names

SAMPLE = frozenset("optimizer-adagrad momentum-or-none model-lstm".split())


def cases(*groups: Iterable[Case]) -> list[Any]:
    """A sample in the default suite, the rest where minutes are not counted."""
    every = [case for group in groups for case in group]
    return [
        pytest.param(case, id=case.name, marks=() if case.name in SAMPLE else (pytest.mark.slow,)) for case in every
    ]


@pytest.mark.parametrize(
    "case",
    cases(
        lane_cases.optimizers(),
        lane_cases.optimizer_settings(),
        lane_cases.schedules(),
        lane_cases.losses(),
        lane_cases.metrics(),
        lane_cases.activations(),
        lane_cases.initializers(),
        lane_cases.layers(),
        lane_cases.trainings(),
        lane_cases.models(),
    ),
)
def test_lane_with_its_own_numbers_ends_as_keras_fit_does_and_as_alone(case: Case) -> None:
    trials = made.trials(*case.lanes())
    planned = fused.plan(trials)
    assert not planned.fallbacks, planned.fallbacks[0].reason
    assert [len(group.trials) for group in planned.groups] == [2 // case.groups] * case.groups
    structures = [group.structure for group in planned.groups]
    assert {".".join(map(str, key)) for each in structures for key in each.constants} <= case.constants
    found = {}
    for result in fused.run_trials(trials, planned=planned, threads=1):
        assert isinstance(result, LaneResult)
        found[result.trial.key] = result
    made.assert_same_as_fit(found[1])
    made.assert_same_bits(fused.train_one(found[1].trial.prepared), found[1])


def test_every_metric_and_schedule_of_the_registry_is_compared() -> None:
    bases = {each for case in lane_cases.metrics() for each in case.base}
    measured = [each.removeprefix("metrics=[").rstrip("]") for each in bases if each.startswith("metrics=[")]
    tried = {name for each in measured for name in each.split(",")}
    assert {find("metrics", name).name for name in tried} == {find("metrics", name).name for name in names("metrics")}
    schedules = {case.name.split("-")[1] for case in lane_cases.schedules()}
    assert schedules == {find("schedule", name).name for name in names("schedule")}

"""Custom parts as people write them, as lanes of one sweep: what Keras' fit makes of them."""

from __future__ import annotations

import made
import own_kind_rows as rows
import pytest

from kexp import fused


def _check(names: list[str]) -> None:
    results = list(fused.run_trials(made.trials(*(rows.overrides(name) for name in names))))
    reasons = {names[result.trial.key]: result.reason for result in results if result.reason}
    assert all(name in rows.NO_LANES and "within epochs" in reason for name, reason in reasons.items()), reasons
    for result in results:
        if not result.reason:
            made.assert_same_as_fit(result)


def test_they_are_lanes_that_end_as_keras_fit_does() -> None:
    _check(list(rows.QUICK))


@pytest.mark.slow
def test_more_of_them_are_lanes_too() -> None:
    _check([*rows.HABITS, *rows.SLOW])

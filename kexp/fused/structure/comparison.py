"""Compares the results of two runs of the same training steps, to rounding."""

from __future__ import annotations

from typing import Any

__all__ = ["agree_to_rounding", "perturbed"]


def perturbed(state: list[Any]) -> list[Any]:
    """Returns a copy of a state with every float changed in its last bits, by a relative 3e-7 up or down."""
    import numpy as np

    random = np.random.default_rng(0)
    return [
        (each * (1 + 3e-7 * random.choice([-1.0, 1.0], each.shape))).astype(each.dtype)
        if each.dtype.kind == "f"
        else each
        for each in state
    ]


def agree_to_rounding(before: list[Any], result: Any, expected: Any, nearby: Any) -> bool:
    """Returns whether two runs of the same steps have the same result, to rounding.

    Differences are measured against how far the steps moved a variable, and against how far a run from a perturbed
    state ends from the run itself. A bias before a batch normalization, for example, has a gradient of rounding errors
    alone, which Adam scales up to full steps.

    Args:
        before: the variables before the steps.
        result: (variables, metrics) after one run.
        expected: (variables, metrics) after the other run.
        nearby: (variables, metrics) after the other run from the `perturbed` variables.
    """
    import numpy as np

    for first, got, wanted, near in zip(before, result[0], expected[0], nearby[0], strict=True):
        if got.dtype.kind in "iub":
            if not np.array_equal(got, wanted):
                return False
            continue
        a, b, c, start = (each.astype(np.float64) for each in (got, wanted, near, first))
        if not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return False
        if not a.size:
            continue
        allowed = 2e-3 * _largest(b - start) + 1e-6 * _largest(b) + 4 * _largest(b - c)
        if _largest(a - b) > allowed:
            return False
    noise = 4 * np.abs(expected[1] - nearby[1])
    close = np.abs(result[1] - expected[1]) <= 2e-5 * np.abs(expected[1]) + 1e-7 + noise
    return bool(np.all(close | (np.isnan(result[1]) & np.isnan(expected[1]))))


def _largest(values: Any) -> float:
    """Returns the greatest finite magnitude; 0 if there is none."""
    import numpy as np

    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0

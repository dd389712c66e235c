"""Whether two runs of the same training steps went the same way, to rounding."""

from __future__ import annotations

from typing import Any

__all__ = ["agree_to_rounding", "perturbed"]


def perturbed(state: list[Any]) -> list[Any]:
    """The state with every number changed in its last bits."""
    import numpy as np

    random = np.random.default_rng(0)
    return [
        (each * (1 + 3e-7 * random.choice([-1.0, 1.0], each.shape))).astype(each.dtype)
        if each.dtype.kind == "f"
        else each
        for each in state
    ]


def agree_to_rounding(before: list[Any], ours: Any, expected: Any, nearby: Any) -> bool:
    """Whether two runs of the same steps went the same way.

    To rounding, that is: measured against how far the steps went, and against how far a run parts from itself when its
    start is changed in the last bits. A bias before a batch normalisation, say, has a gradient of nothing but rounding,
    which Adam makes steps of.
    """
    import numpy as np

    for start, ours_now, theirs_now, control in zip(before, ours[0], expected[0], nearby[0], strict=True):
        if ours_now.dtype.kind in "iub":
            if not np.array_equal(ours_now, theirs_now):
                return False
            continue
        a, b, c, first = (each.astype(np.float64) for each in (ours_now, theirs_now, control, start))
        if not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return False
        if not a.size:
            continue
        allowed = 2e-3 * _largest(b - first) + 1e-6 * _largest(b) + 4 * _largest(b - c)
        if _largest(a - b) > allowed:
            return False
    noise = 4 * np.abs(expected[1] - nearby[1])
    close = np.abs(ours[1] - expected[1]) <= 2e-5 * np.abs(expected[1]) + 1e-7 + noise
    return bool(np.all(close | (np.isnan(ours[1]) & np.isnan(expected[1]))))


def _largest(values: Any) -> float:
    import numpy as np

    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0

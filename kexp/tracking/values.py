"""Turns config values and metrics into names and values that MLflow accepts."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from kexp.system.nested import leaves

__all__ = [
    "DERIVED_PARAMS",
    "INFINITY",
    "LONGEST_VALUE",
    "SYSTEM_PREFIX",
    "flatten",
    "param_value",
    "restored_metric",
    "safe_key",
    "shorten",
]

LONGEST_VALUE = 6000
"""MLflow silently cuts a longer parameter value, so none is sent."""

SYSTEM_PREFIX = "system/"
"""The prefix of metrics about a run's time and machine, not about its model."""

DERIVED_PARAMS = frozenset({"model_parameters", "model_trainable_parameters", "steps_per_epoch"})
"""Parameters of a run that result from its config and its data."""

INFINITY = 1.7976931348623157e308
"""The value that MLflow stores instead of infinity; `restored_metric` turns it back."""

_LONGEST_KEY = 250
_REFUSED = re.compile(r"[^\w\-./: ]")


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flattens a nested config: `{"optimizer": {"rho": 0.9}}` becomes `{"optimizer.rho": 0.9}`.

    A list stays whole, because it is one choice (`model.hidden=[128,64]`), and so does a list of mappings (layers). An
    empty mapping stays as `{}`, so that the run has the whole config.
    """
    return dict(leaves(config))


def param_value(value: Any) -> str:
    """Returns a config value as one types it: `true`, `null`, `0.001`, `[128, 64]`. Equal values give equal texts."""
    if isinstance(value, str):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # a NumPy scalar
        value = value.item()
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        return str(value)


@lru_cache(maxsize=10_000)  # the runs of a sweep have the same keys
def safe_key(key: str) -> str:
    """Returns `key` if MLflow accepts it, else a similar name with a digest, so that different keys stay different."""
    parts = [part for part in key.split("/") if part not in ("", ".", "..")]
    safe = _REFUSED.sub("_", "/".join(parts)).replace("..", "__")
    if safe and safe == key and len(key) <= _LONGEST_KEY:
        return key
    mark = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: _LONGEST_KEY - 9]}-{mark}" if safe else f"key-{mark}"


def restored_metric(value: float) -> float:
    """Returns a metric as it was logged: MLflow's value for infinity becomes infinity again."""
    return math.copysign(math.inf, value) if abs(value) >= INFINITY and not math.isnan(value) else value


def shorten(text: str, most: int) -> str:
    """Shortens a text to `most` characters by leaving out its middle: names and paths differ at their ends."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"

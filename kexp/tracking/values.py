"""How config values become MLflow parameters, and metrics become rows: names and values that the store takes whole."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

__all__ = [
    "ABOUT",
    "INFINITY",
    "LONGEST_VALUE",
    "SIZES",
    "flatten",
    "param_value",
    "restored_metric",
    "safe_key",
    "shorten",
]

LONGEST_VALUE = 6000
"""MLflow cuts a longer parameter value without a word, so ours never sends one."""

ABOUT = "system/"
"""How metrics begin that are about a run's time and machine, and not about how good its model is."""

SIZES = frozenset({"model_parameters", "model_trainable_parameters", "steps_per_epoch"})
"""Parameters of a run that follow from its config and its data."""

INFINITY = 1.7976931348623157e308
"""What MLflow stores for infinity; `restored_metric` turns it back."""

_LONGEST_KEY = 250
_REFUSED = re.compile(r"[^\w\-./: ]")


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """A nested config as one level of dotted keys: `{"optimizer": {"rho": 0.9}}` is `{"optimizer.rho": 0.9}`.

    Lists stay whole, because a list is one choice (`model.hidden=[128,64]`); so does a list of mappings (layers).
    An empty mapping stays as `{}`, so that nothing of the config is missing from the run.
    """
    return dict(_leaves(config, ""))


def _leaves(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, path)
        else:
            yield path, value


def param_value(value: Any) -> str:
    """A config value as one types it: `true`, `null`, `0.001`, `[128, 64]`. Equal values give equal text."""
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
    """`key` where MLflow takes it; else the nearest name that it takes, with a digest so that no two keys meet."""
    parts = [part for part in key.split("/") if part not in ("", ".", "..")]
    safe = _REFUSED.sub("_", "/".join(parts)).replace("..", "__")
    if safe and safe == key and len(key) <= _LONGEST_KEY:
        return key
    mark = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: _LONGEST_KEY - 9]}-{mark}" if safe else f"key-{mark}"


def restored_metric(value: float) -> float:
    """A metric as it was logged: MLflow's stand-in for infinity becomes infinity again."""
    return math.copysign(math.inf, value) if abs(value) >= INFINITY and not math.isnan(value) else value


def shorten(text: str, most: int) -> str:
    """A text with its middle left out where it is longer than `most`: names and paths differ at their ends."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"

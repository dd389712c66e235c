"""What a run tells, as rows of its outbox: plain JSON that keeps MLflow's rules, so that it refuses nothing later."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from kexp.errors import StoreError
from kexp.tracking.outbox import Row
from kexp.tracking.values import INFINITY, LONGEST_VALUE, metric_value, param_value, safe_key

__all__ = ["artifact_path", "dataset_row", "metric_row", "param_row", "tag_row"]

_LONGEST_TAG = 8000


def param_row(params: Mapping[str, Any]) -> tuple[Row, dict[str, str]]:
    """Parameters as a row, and the values that are too long for MLflow, whole, by key.

    A long value's place in the row is taken by its digest, marked as such, so that equal runs still compare equal.
    """
    row: dict[str, str] = {}
    long: dict[str, str] = {}
    for key, value in params.items():
        text, safe = param_value(value), safe_key(str(key))
        if len(text) > LONGEST_VALUE:
            long[safe] = text
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            text = f"sha256:{digest} ({len(text)} characters, in the artifact params/{safe}.txt)"
        row[safe] = text
    return {"params": row}, long


def metric_row(metrics: Mapping[str, float], step: int, timestamp_ms: int) -> tuple[Row, list[str]]:
    """One point of each metric as a row, and the keys whose value is infinite, which MLflow cannot hold as such."""
    points, infinite = [], []
    for key, given in metrics.items():
        value, safe = metric_value(given), safe_key(str(key))
        if math.isinf(value):
            infinite.append(safe)
            value = math.copysign(INFINITY, value)
        points.append([safe, value, step, timestamp_ms])
    return {"metrics": points}, infinite


def tag_row(tags: Mapping[str, Any]) -> Row:
    """Tags as a row. A tag is a label: what exceeds MLflow's 8,000 characters is cut with an ellipsis."""
    texts = {safe_key(str(key)): param_value(value) for key, value in tags.items()}
    return {
        "tags": {
            key: text if len(text) <= _LONGEST_TAG else text[: _LONGEST_TAG - 1] + "…" for key, text in texts.items()
        }
    }


def dataset_row(
    name: str, digest: str, context: str, *, source: str, source_type: str, schema: Any, profile: Any
) -> Row:
    """A data set as a row, in the form that MLflow's own data sets have."""
    if not 0 < len(digest) <= 36:
        raise StoreError(f"the digest of data set {name!r} must have 1 to 36 characters, got {len(digest)}")
    return {
        "dataset": {
            "name": name,
            "digest": digest,
            "context": context,
            "source_type": source_type,
            "source": source if source.startswith("{") else json.dumps({"source": source}),
            "schema": None
            if schema is None
            else schema
            if isinstance(schema, str)
            else json.dumps(schema, default=str),
            "profile": None
            if profile is None
            else profile
            if isinstance(profile, str)
            else json.dumps(profile, default=str),
        }
    }


def artifact_path(path: str) -> PurePosixPath:
    """`path` as a place among a run's artifacts.

    Raises:
        StoreError: it is absolute, empty, or leads out of them; MLflow itself would follow it on a local store.
    """
    inside = PurePosixPath(path)
    if inside.is_absolute() or ".." in inside.parts or not inside.parts or "\\" in path or "\0" in path:
        raise StoreError(f"{path!r} is no artifact path: it must stay inside the run's artifacts")
    return inside

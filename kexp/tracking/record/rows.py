"""Rows: what a run logs, as plain JSON that keeps MLflow's rules, so that the store does not refuse it later.

A row holds a part of a run or all of it, and rows can be joined. A run in progress has many; a trial's record is one.

    params    {KEY: TEXT}
    tags      {KEY: TEXT}
    metrics   [[KEY, VALUE, STEP, TIME_MS], ...]
    datasets  [{name, digest, context, source_type, source, schema, profile}, ...]
    texts     {ARTIFACT_PATH: TEXT}
    files     [[FILE, ARTIFACT_FOLDER], ...]; FILE is absolute, or relative to the run's folder
    figures   [{drawing, data, options}, ...]; drawn when they are delivered
    models    [{key, local, name, ...}, ...]; see `model_files.model_row`
    end       {status, time_ms}
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from kexp.errors import StoreError
from kexp.tracking.values import INFINITY, LONGEST_VALUE, param_value, safe_key

__all__ = ["Row", "artifact_path", "dataset_row", "join_rows", "metric_row", "param_row", "split_row", "tag_row"]

Row = dict[str, Any]

_LONGEST_TAG = 8000


def param_row(params: Mapping[str, Any]) -> tuple[Row, dict[str, str]]:
    """Returns parameters as a row, and key -> value of those that are too long for MLflow.

    In the row, a long value is replaced by its digest, so that equal runs still compare equal.
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
    """Returns one point of each metric as a row, and the keys of infinite values, which MLflow cannot store.

    Args:
        metrics: metric -> value.
        step: the epoch, from 1.
        timestamp_ms: the time of the points, in milliseconds since 1970.
    """
    points, infinite = [], []
    for key, given in metrics.items():
        value, safe = float(given), safe_key(str(key))
        if math.isinf(value):
            infinite.append(safe)
            value = math.copysign(INFINITY, value)
        points.append([safe, value, step, timestamp_ms])
    return {"metrics": points}, infinite


def tag_row(tags: Mapping[str, Any]) -> Row:
    """Returns tags as a row. A tag with more than MLflow's 8,000 characters is cut, and ends in an ellipsis."""
    texts = {safe_key(str(key)): param_value(value) for key, value in tags.items()}
    return {
        "tags": {
            key: text if len(text) <= _LONGEST_TAG else text[: _LONGEST_TAG - 1] + "…" for key, text in texts.items()
        }
    }


def dataset_row(
    name: str, digest: str, context: str, *, source: str, source_type: str, schema: Any, profile: Any
) -> Row:
    """Returns a data set as a row, in MLflow's form; see `Tracker.log_dataset` for the arguments.

    Raises:
        StoreError: the digest does not have 1 to 36 characters.
    """
    if not 0 < len(digest) <= 36:
        raise StoreError(f"the digest of data set {name!r} must have 1 to 36 characters, got {len(digest)}")
    return {
        "datasets": [
            {
                "name": name,
                "digest": digest,
                "context": context,
                "source_type": source_type,
                "source": source if source.startswith("{") else json.dumps({"source": source}),
                "schema": _json(schema),
                "profile": _json(profile),
            }
        ]
    }


def artifact_path(path: str) -> PurePosixPath:
    """Returns `path` as the path of an artifact.

    Raises:
        StoreError: it is absolute, empty, or leads out of the run's artifacts. A local store of MLflow would follow it.
    """
    inside = PurePosixPath(path)
    if inside.is_absolute() or ".." in inside.parts or not inside.parts or "\\" in path or "\0" in path:
        raise StoreError(f"{path!r} is no artifact path: it must stay inside the run's artifacts")
    return inside


def join_rows(rows: Iterable[Row]) -> Row:
    """Joins rows; a later parameter, tag or text replaces an earlier one."""
    joined: Row = {}
    for row in rows:
        for kind, content in row.items():
            if isinstance(content, dict):
                joined.setdefault(kind, {}).update(content)
            else:
                joined.setdefault(kind, []).extend(content)
    return joined


def split_row(row: Row) -> Iterator[Row]:
    """Yields the smallest parts of a row as rows: one parameter, one point, one file."""
    for kind, content in row.items():
        if kind in ("params", "tags", "texts"):
            yield from ({kind: {key: value}} for key, value in content.items())
        elif isinstance(content, list):
            yield from ({kind: [each]} for each in content)
        else:
            yield {kind: content}


def _json(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)

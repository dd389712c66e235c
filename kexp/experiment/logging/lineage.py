"""Logs the data sets of a run to MLflow: the source, schema, profile and digest of each part."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import without_passwords

if TYPE_CHECKING:
    from kexp.data import Part
    from kexp.experiment.prepared import Prepared
    from kexp.schema import Node
    from kexp.tracking import Tracker

__all__ = ["data_name", "data_of_metrics", "record_data"]

_PREFIX = {"train": "", "validation": "val_", "test": "test_"}  # prefix of the metrics on a part
_TYPES = {"number": "double", "boolean": "boolean", "text": "string", "date": "datetime"}
_MOST_COLUMNS = 500  # columns in a schema, which each trial of a sweep stores


def record_data(tracker: Tracker, prepared: Prepared) -> None:
    """Logs each part of the data as a data set, with a digest of its rows."""
    node, schema = prepared.experiment.data, _schema(prepared)
    for context, part in prepared.splits.parts.items():
        source_type, source = _source(node, context)
        tracker.log_dataset(
            name=data_name(node, context),
            digest=_digest(part),
            context=context,
            source_type=source_type,
            source=json.dumps(source),
            schema=schema,
            profile=_profile(part),
        )


def data_of_metrics(prepared: Prepared) -> dict[str, tuple[str, str]]:
    """Returns prefix of metrics -> (name, digest) of the data set that they are measured on."""
    node, parts = prepared.experiment.data, prepared.splits.parts
    return {_PREFIX[context]: (data_name(node, context), _digest(part)) for context, part in parts.items()}


def _digest(part: Part) -> str:
    """Returns a digest of a part's rows, short enough for MLflow's page."""
    rows = hashlib.sha256(part.rows.astype("<i8", copy=False).data).hexdigest()
    return hashlib.sha256(f"{part.data.digest} {rows}".encode()).hexdigest()[:12]


def _path(node: Node, context: str) -> str | None:
    """Returns the path that the config gives for a part; None if it gives none."""
    for key in (f"{context}_path", "path"):
        found = node.parameters.get(key)
        if isinstance(found, str):
            return found
    return None


def data_name(node: Node, context: str = "train") -> str:
    """Returns the name of a part's data set: that of its file, else that of the component."""
    path = _path(node, context)
    return node.name if path is None else Path(path.partition("?")[0]).name or node.name


def _source(node: Node, context: str) -> tuple[str, dict[str, Any]]:
    """Returns MLflow's type of the source, and its description."""
    path = _path(node, context)
    if path is None:
        return "code", {"tags": {"mlflow.source.type": "LOCAL", "mlflow.source.name": f"kexp data={node.name}"}}
    scheme = re.match(r"([a-z][a-z0-9+.-]+)://", path)
    if scheme is None:
        return "local", {"uri": str(Path(path).expanduser().absolute())}
    address = without_passwords(path)
    return ("http", {"url": address}) if scheme[1] in ("http", "https") else (scheme[1], {"uri": address})


def _schema(prepared: Prepared) -> dict[str, Any]:
    """Returns the schema: names and types of columns if rows have them, else shapes of arrays."""
    splits = prepared.splits
    spec, encoding = splits.spec, splits.encoding
    kinds: Mapping[str, Any] = encoding.get("kinds") or {}
    if "columns" in encoding and kinds:
        named = {str(each["name"]): str(kinds.get(each["name"], ["text"])[0]) for each in encoding["columns"]}
    else:
        named = dict.fromkeys(map(str, spec.feature_names or ()), "number")
    if named and len(named) <= _MOST_COLUMNS:
        goals = encoding.get("target") or list(spec.target_names or ())
        kind = "text" if spec.task == "classification" else "number"
        named |= {str(goal): kind for goal in ([goals] if isinstance(goals, str) else goals)}
        return {"mlflow_colspec": [{"type": _TYPES.get(kind, "string"), "name": name} for name, kind in named.items()]}
    targets = splits.data.targets
    shapes = {"features": (spec.feature_dtype, spec.feature_shape), "targets": (str(targets.dtype), targets.shape[1:])}
    tensors = {
        key: json.dumps([{"type": "tensor", "tensor-spec": {"dtype": str(kind), "shape": [-1, *shape]}}])
        for key, (kind, shape) in shapes.items()
    }
    return {"mlflow_tensorspec": tensors}


def _profile(part: Part) -> dict[str, Any]:
    import numpy as np

    spec = part.spec
    profile: dict[str, Any] = {"num_rows": len(part), "num_elements": len(part) * math.prod(spec.feature_shape)}
    if spec.task == "classification" and spec.classes is not None and len(spec.classes) <= 100:
        counts = np.bincount(part.labels.ravel(), minlength=len(spec.classes))
        profile["classes"] = {str(name): int(count) for name, count in zip(spec.classes, counts, strict=True)}
    return profile

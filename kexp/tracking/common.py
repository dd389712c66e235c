"""Texts that the trials of a sweep have in common: kept once, among the artifacts of the sweep's own run.

A trial's tag `kexp.common` says where: {"environment.json": "common/1f3a.../environment.json"}. A server is spared an
upload for each of them in each trial, and a folder of thousands of trials as many files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from kexp.tracking.record import RunRecord

__all__ = ["place_of_common", "without_common"]

_TAG = "kexp.common"
_COMMON = frozenset({"environment.json", "data.json", "data_encoding.json", "model_summary.txt"})


def without_common(record: RunRecord) -> tuple[RunRecord, dict[str, str]]:
    """A trial's record without what trials have in common, and that, by its place among the artifacts of the sweep."""
    if record.parent_run_id is None:
        return record, {}
    texts, places = dict(record.texts), dict[str, str]()
    common: dict[str, str] = {}
    for path in _COMMON & record.texts.keys():
        text = texts.pop(path)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        places[path] = f"common/{digest}/{path}"
        common[places[path]] = text
    if not places:
        return record, {}
    return replace(record, texts=texts, tags={**record.tags, _TAG: json.dumps(places, sort_keys=True)}), common


def place_of_common(tags: Mapping[str, str], path: str) -> str | None:
    """Where among the sweep's artifacts a trial's text is; None where the trial has it itself, or not at all."""
    try:
        place = json.loads(tags.get(_TAG, "{}")).get(path)
    except (ValueError, AttributeError):
        return None
    return place if isinstance(place, str) else None

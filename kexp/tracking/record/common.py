"""Texts of trials that need no file of their own: a server is spared an upload for each of them in each trial.

What the trials of a sweep have in common is kept once, among the artifacts of the sweep's own run. A trial's tag
`kexp.common` says where: {"environment.json": "common/1f3a.../environment.json"}, and of the folder with the source of
one's own modules {"code": "common/77c0.../code"}. A trial's overrides are its tag `kexp.overrides`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from kexp.tracking.record.run_record import RunRecord

__all__ = ["place_of_common", "text_in_tags", "without_common"]

_TAG = "kexp.common"
_IN_TAGS = {"overrides.txt": "kexp.overrides"}
_LONGEST = 5000  # characters of a tag, which every server takes
_COMMON = frozenset({"environment.json", "data.json", "data_encoding.json", "model_summary.txt", "code"})


def without_common(record: RunRecord) -> tuple[RunRecord, dict[str, str]]:
    """A trial's record with its overrides as a tag and without what trials have in common.

    Returns:
        The record, and what trials have in common by its place among the artifacts of the sweep.
    """
    if record.parent_run_id is None:
        return record, {}
    shared: dict[str, dict[str, str]] = {}
    for path, text in record.texts.items():
        if _first(path) in _COMMON:
            shared.setdefault(_first(path), {})[path] = text
    places, common = dict[str, str](), dict[str, str]()
    for name, files in shared.items():
        digest = _digest(files)
        places[name] = f"common/{digest}/{name}"
        common |= {f"common/{digest}/{path}": text for path, text in files.items()}
    told = {path: text for path, text in record.texts.items() if path in _IN_TAGS and len(text) <= _LONGEST}
    texts = {path: text for path, text in record.texts.items() if _first(path) not in places and path not in told}
    tags = {**record.tags, **{_IN_TAGS[path]: text for path, text in told.items()}}
    if places:
        tags[_TAG] = json.dumps(places, sort_keys=True)
    return replace(record, texts=texts, tags=tags), common


def text_in_tags(tags: Mapping[str, str], path: str) -> str | None:
    """A text that a trial has as a tag; None where it has it as a file, or not at all."""
    return tags.get(_IN_TAGS.get(path, ""))


def place_of_common(tags: Mapping[str, str], path: str) -> str | None:
    """Where among the sweep's artifacts a trial's text or folder is; None where the trial has it itself, or none."""
    try:
        place = json.loads(tags.get(_TAG, "{}")).get(_first(path))
    except (ValueError, AttributeError):
        return None
    return place + path.removeprefix(_first(path)) if isinstance(place, str) else None


def _first(path: str) -> str:
    """A file at the top, or the folder at the top that a file is in."""
    return path.partition("/")[0]


def _digest(files: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for path, text in sorted(files.items()):
        digest.update(f"{path}\0{len(text)}\0{text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]

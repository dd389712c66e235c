"""Moves texts out of a trial's artifacts, so that a server does not get uploads of equal texts for each trial.

Texts that trials have in common are stored once, as artifacts of the sweep's run. The trial's tag `kexp.common` has
their paths: {"environment.json": "common/1f3a.../environment.json"}, and for the folder with the source of the user's
modules {"code": "common/77c0.../code"}. A trial's overrides are stored in its tag `kexp.overrides`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from kexp.tracking.record.run_record import RunRecord

__all__ = ["shared_text_path", "text_in_tags", "without_shared_texts"]

_TAG = "kexp.common"
_IN_TAGS = {"overrides.txt": "kexp.overrides"}
_LONGEST = 5000  # characters of a tag that every server accepts
_COMMON = frozenset({"environment.json", "data.json", "data_encoding.json", "model_summary.txt", "code"})


def without_shared_texts(record: RunRecord) -> tuple[RunRecord, dict[str, str]]:
    """Moves the overrides of a trial's record into a tag, and takes out the texts that trials have in common.

    Returns:
        The changed record, and artifact path in the sweep's run -> text that was taken out.
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
    in_tags = {path: text for path, text in record.texts.items() if path in _IN_TAGS and len(text) <= _LONGEST}
    texts = {path: text for path, text in record.texts.items() if _first(path) not in places and path not in in_tags}
    tags = {**record.tags, **{_IN_TAGS[path]: text for path, text in in_tags.items()}}
    if places:
        tags[_TAG] = json.dumps(places, sort_keys=True)
    return replace(record, texts=texts, tags=tags), common


def text_in_tags(tags: Mapping[str, str], path: str) -> str | None:
    """Returns the text that a trial stores in a tag instead of the artifact `path`; None if there is none."""
    return tags.get(_IN_TAGS.get(path, ""))


def shared_text_path(tags: Mapping[str, str], path: str) -> str | None:
    """Returns the path among the sweep's artifacts of a trial's text or folder; None if it is not stored there."""
    try:
        place = json.loads(tags.get(_TAG, "{}")).get(_first(path))
    except (ValueError, AttributeError):
        return None
    return place + path.removeprefix(_first(path)) if isinstance(place, str) else None


def _first(path: str) -> str:
    """Returns the first part of a path: a folder, or a file at the top."""
    return path.partition("/")[0]


def _digest(files: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for path, text in sorted(files.items()):
        digest.update(f"{path}\0{len(text)}\0{text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]

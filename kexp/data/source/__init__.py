"""The data model: a source of rows, the description of a row, the digest of the content, and an encoder to fit."""

from __future__ import annotations

from kexp.data.source.checks import ContentHash, check_classes, check_splits, check_targets, check_weights, from_source
from kexp.data.source.model import (
    CHUNK_ROWS,
    PART_NAMES,
    ArraySource,
    Data,
    DataSpec,
    Encoded,
    Encoder,
    GivenSplits,
    Source,
    Task,
    chunks,
    consecutive,
)

__all__ = [
    "CHUNK_ROWS",
    "PART_NAMES",
    "ArraySource",
    "ContentHash",
    "Data",
    "DataSpec",
    "Encoded",
    "Encoder",
    "GivenSplits",
    "Source",
    "Task",
    "check_classes",
    "check_splits",
    "check_targets",
    "check_weights",
    "chunks",
    "consecutive",
    "from_source",
]

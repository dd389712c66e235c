"""The format `json`, which stores only the architecture, and the class that it shares with `yaml`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.persistence.architecture import architecture_config, model_from_architecture

if TYPE_CHECKING:
    import keras

__all__ = ["ArchitectureFormat", "json_format"]


def json_format() -> ArchitectureFormat:
    """The architecture alone as JSON (model.json), readable by keras.models.model_from_json."""
    return ArchitectureFormat("model.json", json.dumps, json.loads)


class ArchitectureFormat:
    """A format that stores only the architecture.

    Args:
        filename: see `Format`.
        write: turns plain data into text.
        read: turns the text into plain data.
    """

    carries = "architecture"

    def __init__(self, filename: str, write: Callable[[Any], str], read: Callable[[str], Any]) -> None:
        self.filename, self._write, self._read = filename, write, read

    def save(self, model: keras.Model, path: Path) -> None:
        path.write_text(self._write(architecture_config(model)), encoding="utf-8")

    def load(self, path: Path, *, architecture: Callable[[], keras.Model] | None = None) -> keras.Model:
        return model_from_architecture(self._read(path.read_text(encoding="utf-8")))

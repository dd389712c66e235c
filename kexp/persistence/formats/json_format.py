"""The format `json`: the architecture alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.persistence.architecture import architecture_config, model_from_architecture
from kexp.persistence.format import Format

if TYPE_CHECKING:
    import keras

__all__ = ["json_format"]


def json_format() -> Format:
    """The architecture alone as JSON (model.json), readable by keras.models.model_from_json."""
    return _Json()


class _Json:
    filename = "model.json"
    carries = "architecture"

    def save(self, model: keras.Model, path: Path) -> None:
        path.write_text(json.dumps(architecture_config(model)), encoding="utf-8")

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> keras.Model:
        return model_from_architecture(json.loads(path.read_text(encoding="utf-8")))

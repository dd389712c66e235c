"""The format `yaml`: the architecture alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.persistence.architecture import architecture_config, model_from_architecture
from kexp.persistence.format import Format

if TYPE_CHECKING:
    import keras

__all__ = ["yaml_format"]


def yaml_format() -> Format:
    """The architecture alone as YAML (model.yaml), written and read with safe loaders only."""
    return _Yaml()


class _Yaml:
    filename = "model.yaml"
    carries = "architecture"

    def save(self, model: keras.Model, path: Path) -> None:
        import yaml

        # `architecture_config` goes through JSON, which turns tuples into lists and refuses data that is not plain.
        path.write_text(yaml.safe_dump(architecture_config(model), sort_keys=False), encoding="utf-8")

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> keras.Model:
        import yaml

        return model_from_architecture(yaml.safe_load(path.read_text(encoding="utf-8")))

"""The format `yaml`, which stores only the architecture."""

from __future__ import annotations

from typing import Any

from kexp.persistence.formats.json_format import ArchitectureFormat

__all__ = ["yaml_format"]


def yaml_format() -> ArchitectureFormat:
    """The architecture alone as YAML (model.yaml), written and read with safe loaders only."""
    return ArchitectureFormat("model.yaml", _write, _read)


def _write(data: Any) -> str:
    import yaml

    # The data has gone through JSON, which turns tuples into lists and refuses what is not plain.
    return str(yaml.safe_dump(data, sort_keys=False))


def _read(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)

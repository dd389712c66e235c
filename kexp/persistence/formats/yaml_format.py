"""The format `yaml`: the architecture alone."""

from __future__ import annotations

from kexp.persistence.formats.json_format import ArchitectureFormat

__all__ = ["yaml_format"]


def yaml_format() -> ArchitectureFormat:
    """The architecture alone as YAML (model.yaml), written and read with safe loaders only."""
    import yaml

    # The data has gone through JSON, which turns tuples into lists and refuses what is not plain.
    return ArchitectureFormat("model.yaml", lambda data: yaml.safe_dump(data, sort_keys=False), yaml.safe_load)

"""Walks over nested configs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["leaves", "texts"]


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every dotted key of a nested config with its value. Lists and empty mappings are values."""
    for key, value in config.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, path)
        else:
            yield path, value


def texts(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield every text in a nested value, in mappings and lists, with its keys and places."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, (Mapping, list, tuple)):
        for name, each in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from texts(each, (*place, name))

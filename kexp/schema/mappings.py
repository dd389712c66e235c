"""Config values as mappings, and unknown keys refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kexp.errors import ConfigError, UnknownNameError

__all__ = ["as_mapping", "plain", "refuse_unknown"]


def as_mapping(path: str, value: Any) -> Mapping[str, Any]:
    """Return a component's config as a mapping; a name alone is one with `name`.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping):
        raise ConfigError.at(path, "must be a name, or a mapping with a name and parameters", value)
    return value


def refuse_unknown(path: str, given: Mapping[str, Any], known: set[str]) -> None:
    """Refuse the first key that does not exist.

    Raises:
        UnknownNameError: such a key; the message has the nearest.
    """
    for name in given:
        if name not in known:
            raise UnknownNameError(
                f"{path}.{name}" if path else str(name), f"key of {path}" if path else "key", name, known
            )


def plain(value: Any) -> Any:
    """Return a default as config can hold it."""
    if isinstance(value, tuple):
        return list(value)
    return value

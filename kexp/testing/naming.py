"""Checks with Hydra's own parser whether a component's name can be typed on the command line."""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["typing_problem"]

_PARTS = {".": "a dot separates keys", "@": "what follows @ is a package", "/": "a slash separates groups"}


@cache
def typing_problem(name: str) -> str | None:
    """Returns a sentence on why a name cannot be an option and a key of the config; None if it can.

    Hydra must read `GROUP=NAME` as that name, and `GROUP.NAME.PARAMETER=1` as three keys.

    Args:
        name: the component's name.
    """
    reason = next((why for mark, why in _PARTS.items() if mark in name), None)
    if reason is None and not (_parsed(f"group={name}", "value") == name == _key(name)):
        reason = "Hydra's grammar reads it differently or not at all"
    if reason is None:
        return None
    return (
        f"the name {name!r} cannot be typed as a config option: {reason}; use letters, digits, _ and - alone, "
        "the first one a letter"
    )


def _key(name: str) -> str | None:
    key = _parsed(f"group.{name}.parameter=1", "key")
    return key.removeprefix("group.").removesuffix(".parameter") if isinstance(key, str) else None


def _parsed(text: str, what: str) -> Any:
    """Returns an override's value or key as Hydra parses it; None if its grammar refuses it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return None
    return override.key_or_group if what == "key" else override.value()

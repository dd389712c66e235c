"""Whether a component's name can be typed. Hydra's own parser is asked, as on the command line."""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["typing_problem"]

_PARTS = {".": "a dot parts keys", "@": "what follows @ is a package", "/": "a slash parts groups"}


@cache
def typing_problem(name: str) -> str | None:
    """Why a name cannot be an option and a key of the config, in a sentence; None where it can.

    `GROUP=NAME` must be read as that text, and `GROUP.NAME.PARAMETER=1` as three keys.
    """
    reason = next((why for mark, why in _PARTS.items() if mark in name), None)
    if reason is None and not (_parsed(f"group={name}", "value") == name == _key(name)):
        reason = "Hydra's grammar reads something else there, or nothing"
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
    """An override's value or key as Hydra reads it; None where its grammar refuses it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return None
    return override.key_or_group if what == "key" else override.value()

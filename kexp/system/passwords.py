"""Hides passwords in addresses of stores and of data: they are neither printed nor written to a file.

`http://me:secret@host` becomes `http://me:***@host` as soon as it is read. The whole address is kept in an environment
variable, for this process and its children, and is restored when a connection is made, or a component is built.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kexp.errors import ConfigError, without_passwords

__all__ = ["hide_in", "hide_password", "hide_passwords", "restore_in", "restore_password"]

_KNOWN = "KEXP_ADDRESSES"  # JSON: hidden address -> whole address
_SCHEME = r"\w[\w+.-]*://"
_ADDRESS = re.compile(rf"{_SCHEME}(?:(?!,{_SCHEME})[^\s'\"])+")  # several of a sweep stand with commas between them
_USER = re.compile(r"(?<=://)[^/\s]*@")
_STARS = (":***@", "password=***")


def hide_password(text: str) -> str:
    """Replaces the password of an address, or of each address in a text, by stars; see `restore_password`."""
    if "://" not in text:
        return text
    return _ADDRESS.sub(lambda found: _hidden(found[0]), text) if re.search(r"\s", text) else _hidden(text)


def restore_password(text: str, key: str = "tracking.uri") -> str:
    """Restores the passwords that `hide_password` hid in this process or its parent.

    The password of a store may also come from `MLFLOW_TRACKING_URI` with the whole address, or for a server from
    MLflow's variables for user and password.

    Args:
        text: an address, or a text with addresses.
        key: the config key of the address, for messages.

    Returns:
        The text with whole addresses.

    Raises:
        ConfigError: a password is not known.
    """
    if not any(stars in text for stars in _STARS):
        return text
    whole = text
    for shown, address in sorted(_known().items(), key=lambda each: -len(each[0])):
        whole = whole.replace(shown, address)
    if not any(stars in whole for stars in _STARS):
        return whole
    store = key == "tracking.uri"
    given = os.environ.get("MLFLOW_TRACKING_URI", "") if store else ""
    if given and without_passwords(given) == text:
        return given
    if store and text.startswith("http") and {"MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"} & set(os.environ):
        return _USER.sub("", text)
    remedy = "set MLFLOW_TRACKING_URI to" if store else "give"
    raise ConfigError(f"{key}: the password of {text} is not kept; {remedy} the whole address")


def hide_passwords(overrides: Iterable[str]) -> list[str]:
    """Hides the passwords of the addresses in overrides, without the backslashes that escape for Hydra."""
    return [_ADDRESS.sub(lambda found: _hidden(found[0], escaped=True), each) for each in overrides]


def hide_in(value: Any) -> Any:
    """Hides the passwords of all addresses in a nested config."""
    return _mapped(value, lambda text, _: hide_password(text), "")


def restore_in(value: Any, key: str) -> Any:
    """Restores the passwords of all addresses in a nested value.

    Args:
        value: what `hide_in` returned.
        key: its config key, for messages.

    Raises:
        ConfigError: a password is not known.
    """
    return _mapped(value, restore_password, key)


def _mapped(value: Any, change: Callable[[str, str], str], key: str) -> Any:
    if isinstance(value, str):
        return change(value, key) if "://" in value else value
    if isinstance(value, (dict, Mapping)):  # a dict is known at once, where Mapping asks its subclasses
        return {name: _mapped(each, change, f"{key}.{name}") for name, each in value.items()}
    if isinstance(value, list):
        return [_mapped(each, change, key) for each in value]
    return value


def _hidden(address: str, *, escaped: bool = False) -> str:
    if "${" in address:  # it names a secret, and holds none
        return address
    plain = re.sub(r"\\(.)", r"\1", address) if escaped else address
    within = plain.rstrip("])}")  # of a list in an override
    shown = without_passwords(within)
    if shown == within:
        return address
    known = _known()
    if known.get(shown) != within:
        os.environ[_KNOWN] = json.dumps({**known, shown: within})
    return shown + plain[len(within) :]


def _known() -> dict[str, str]:
    known: dict[str, str] = json.loads(os.environ.get(_KNOWN) or "{}")
    return known

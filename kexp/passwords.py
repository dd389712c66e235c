"""Hides passwords in addresses of stores: they are neither printed nor written to a file.

`http://me:secret@host` becomes `http://me:***@host` as soon as it is read. The whole address is kept in an environment
variable, for this process and its children, and is restored when a connection is made.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable

from kexp.errors import ConfigError, without_passwords

__all__ = ["SECRET_KEYS", "hide_password", "hide_passwords", "restore_password"]

SECRET_KEYS = ("tracking.uri", "hydra.sweeper.storage")
"""Config keys of addresses that may contain a password."""

_KNOWN = "KEXP_ADDRESSES"  # JSON: hidden address -> whole address
_ADDRESS = re.compile(r"\w[\w+.-]*://[^\s'\"]+")
_USER = re.compile(r"(?<=://)[^/\s]*@")


def hide_password(address: str) -> str:
    """Replaces the password of an address by stars; see `restore_password`."""
    shown = without_passwords(address)
    if shown != address:
        known = _known()
        if known.get(shown) != address:
            os.environ[_KNOWN] = json.dumps({**known, shown: address})
    return shown


def restore_password(address: str, key: str = "tracking.uri") -> str:
    """Restores the password of an address that `hide_password` returned in this process or its parent.

    The password may also come from `MLFLOW_TRACKING_URI` with the whole address, or for a server from MLflow's
    variables for user and password.

    Args:
        address: an address with a hidden password, or without one.
        key: the config key of the address, for messages.

    Returns:
        The whole address.

    Raises:
        ConfigError: the password is not known.
    """
    if ":***@" not in address and "password=***" not in address:
        return address
    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    found = _known().get(address) or (given if without_passwords(given) == address else "")
    if found:
        return found
    if address.startswith("http") and {"MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"} & set(os.environ):
        return _USER.sub("", address)
    remedy = "set MLFLOW_TRACKING_URI to" if key == "tracking.uri" else "give"
    raise ConfigError(f"{key}: the password of {address} is not kept; {remedy} the whole address")


def hide_passwords(overrides: Iterable[str]) -> list[str]:
    """Hides the passwords of the addresses in overrides."""
    return [_ADDRESS.sub(_hide, each) if _is_secret(each) else each for each in overrides]


def _hide(found: re.Match[str]) -> str:
    return hide_password(re.sub(r"\\(.)", r"\1", found[0]))  # without the backslashes that escape for Hydra


def _is_secret(override: str) -> bool:
    return override.partition("=")[0].lstrip("+") in SECRET_KEYS


def _known() -> dict[str, str]:
    known: dict[str, str] = json.loads(os.environ.get(_KNOWN) or "{}")
    return known

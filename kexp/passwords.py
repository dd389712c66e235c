"""Passwords in addresses of stores: known to this process and its children, and shown or written nowhere.

`http://me:secret@host` becomes `http://me:***@host` as soon as it is read. The whole address is in the environment, as
MLflow's own variables for user and password are, and is put back where a connection is made.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable

from kexp.errors import ConfigError, without_passwords

__all__ = ["SECRET_KEYS", "hidden", "whole", "with_hidden"]

SECRET_KEYS = ("tracking.uri", "hydra.sweeper.storage")
"""Config keys of addresses that may have a password in them."""

_KNOWN = "KEXP_ADDRESSES"  # JSON: the address as it is shown -> the whole address
_ADDRESS = re.compile(r"\w[\w+.-]*://[^\s'\"]+")
_USER = re.compile(r"(?<=://)[^/\s]*@")


def hidden(address: str) -> str:
    """The address with its password replaced by stars, which `whole` undoes in this process and its children."""
    shown = without_passwords(address)
    if shown != address:
        known = _known()
        if known.get(shown) != address:
            os.environ[_KNOWN] = json.dumps({**known, shown: address})
    return shown


def whole(address: str, key: str = "tracking.uri") -> str:
    """The address that `hidden` has hidden; itself where it has no password.

    Its password may come from the environment as well: `MLFLOW_TRACKING_URI` with the whole address, or of a server
    MLflow's variables for user and password.

    Args:
        address: the address.
        key: what it is given as, for the message.

    Raises:
        ConfigError: nobody has said the password to this process.
    """
    if ":***@" not in address and "password=***" not in address:
        return address
    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    found = _known().get(address) or (given if without_passwords(given) == address else "")
    if found:
        return found
    if address.startswith("http") and {"MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"} & set(os.environ):
        return _USER.sub("", address)
    told = "set MLFLOW_TRACKING_URI to" if key == "tracking.uri" else "give"
    raise ConfigError(f"{key}: the password of {address} is not kept; {told} the whole address")


def with_hidden(overrides: Iterable[str]) -> list[str]:
    """Overrides without the passwords of the addresses among them."""
    return [_ADDRESS.sub(_hide, each) if _is_secret(each) else each for each in overrides]


def _hide(found: re.Match[str]) -> str:
    return hidden(re.sub(r"\\(.)", r"\1", found[0]))  # as Hydra reads what is written with backslashes


def _is_secret(override: str) -> bool:
    return override.partition("=")[0].lstrip("+") in SECRET_KEYS


def _known() -> dict[str, str]:
    known: dict[str, str] = json.loads(os.environ.get(_KNOWN) or "{}")
    return known

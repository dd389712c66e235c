"""MLflow's rules for names, aliases and tags, checked before any compute and without importing MLflow."""

from __future__ import annotations

import re
from typing import Any

from kexp.errors import ConfigError

__all__ = ["check_alias", "check_model_name", "check_tag", "check_tag_text"]

_LONGEST_NAME, _LONGEST_ALIAS = 256, 255
_LONGEST_KEY, _LONGEST_TAG = 250, 8000


def check_model_name(key: str, name: str) -> None:
    """Checks the name of a registered model.

    Args:
        key: the config key or argument for messages.
        name: the name.

    Raises:
        ConfigError: the name has `/`, `:` or a control character, is a path such as `..`, is empty, or is too long.
    """
    odd = re.search(r"[/:\x00-\x1f]", name)
    if odd or not name.strip() or name in (".", "..") or len(name) > _LONGEST_NAME:
        raise ConfigError.at(key, f"must be a name of 1 to {_LONGEST_NAME} characters without / and :", name)


def check_alias(key: str, alias: str) -> None:
    """Checks the alias of a registered model.

    Args:
        key: the config key or argument for messages.
        alias: the alias.

    Raises:
        ConfigError: the alias has other characters than letters, digits, `_` and `-`, is too long, or is reserved.
    """
    if not re.fullmatch(r"[\w-]+", alias) or len(alias) > _LONGEST_ALIAS:
        raise ConfigError.at(key, "must be of letters, digits, _ and -", alias)
    if alias.lower() == "latest" or re.fullmatch(r"[vV]\d+", alias):
        raise ConfigError.at(key, "must be another name, as MLflow keeps latest and v1, v2, ... for itself", alias)


def check_tag(key: str, name: str, value: Any) -> None:
    """Refuses a tag that MLflow would refuse or cut off, or that kexp sets itself.

    Args:
        key: the config key of the tags, for messages.
        name: the tag's name.
        value: its value.

    Raises:
        ConfigError: the tag is refused.
    """
    parts = name.split("/")
    if not re.fullmatch(r"[\w\-./: ]+", name) or len(name) > _LONGEST_KEY or {"", ".", ".."} & set(parts):
        rule = f"must have a name of 1 to {_LONGEST_KEY} letters, digits, spaces and _ - . / :"
        raise ConfigError.at(key, rule, name)
    if name.startswith("kexp."):
        raise ConfigError.at(key, "must have another name, as kexp. begins those that kexp sets", name)
    if not isinstance(value, (str, int, float, bool)):
        raise ConfigError.at(f"{key}.{name}", "must be one value", value)
    check_tag_text(f"{key}.{name}", str(value))


def check_tag_text(key: str, text: str) -> None:
    """Refuses a text that MLflow would cut off.

    Args:
        key: the config key for messages.
        text: a tag's value.

    Raises:
        ConfigError: the text is too long.
    """
    if len(text) > _LONGEST_TAG:
        raise ConfigError(f"{key}: must have at most {_LONGEST_TAG:,} characters, got {len(text):,}")

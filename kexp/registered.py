"""The rules of MLflow's model registry for names, known without MLflow and before anything is computed."""

from __future__ import annotations

import re

from kexp.errors import ConfigError

__all__ = ["check_alias", "check_model_name"]

_LONGEST_NAME, _LONGEST_ALIAS = 256, 255


def check_model_name(key: str, name: str) -> None:
    """Refuses what no registered model may be called.

    Raises:
        ConfigError: it has `/`, `:` or a control character, is a path such as `..`, is empty, or is too long.
    """
    odd = re.search(r"[/:\x00-\x1f]", name)
    if odd or not name.strip() or name in (".", "..") or len(name) > _LONGEST_NAME:
        raise ConfigError.at(key, f"must be a name of 1 to {_LONGEST_NAME} characters without / and :", name)


def check_alias(key: str, alias: str) -> None:
    """Refuses what no alias of a registered model may be called.

    Raises:
        ConfigError: it has others than letters, digits, `_` and `-`, is too long, or has a meaning of its own.
    """
    if not re.fullmatch(r"[\w-]+", alias) or len(alias) > _LONGEST_ALIAS:
        raise ConfigError.at(key, "must be of letters, digits, _ and -", alias)
    if alias.lower() == "latest" or re.fullmatch(r"[vV]\d+", alias):
        raise ConfigError.at(key, "must be another name, as MLflow keeps latest and v1, v2, ... for itself", alias)

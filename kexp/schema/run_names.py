"""Run names from a template over the config: `tracking.run_name='${optimizer.name}-${seed}'`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from kexp.errors import ConfigError, UnknownNameError
from kexp.system.nested import leaves

__all__ = ["check_run_name", "run_name"]

_KEY = "tracking.run_name"
_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_LONGEST = 250  # characters of a run's name in MLflow's database


def check_run_name(template: str, config: Mapping[str, Any]) -> None:
    """Refuses a template that is empty or refers to a missing key.

    Args:
        template: the value of `tracking.run_name`.
        config: the plain config.

    Raises:
        ConfigError: the template is refused.
    """
    if not template.strip():
        raise ConfigError.at(_KEY, "must be a name", template)
    known = _values(config)
    for key in _REFERENCE.findall(template):
        if ":" not in key and key not in known:
            raise UnknownNameError(_KEY, "single value of the config", key, known)


def run_name(config: Mapping[str, Any]) -> str | None:
    """Fills in the template of a run's name. Resolvers such as `${oc.env:USER}` are evaluated now.

    Args:
        config: the plain config, complete.

    Returns:
        The name, at most 250 characters; None if there is no template.

    Raises:
        ConfigError: a resolver failed.
    """
    template = config["tracking"]["run_name"]
    if template is None:
        return None
    known = _values(config)
    name = _REFERENCE.sub(lambda found: _text(known[found[1]]) if found[1] in known else found[0], template)
    if "${" in name:
        name = _resolved(name)
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _resolved(text: str) -> str:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return str(OmegaConf.to_container(OmegaConf.create({"name": text}), resolve=True)["name"])  # type: ignore[call-overload, index]
    except OmegaConfBaseException as error:
        raise ConfigError(f"{_KEY}: {str(error).splitlines()[0]}") from error


def _values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a template may refer to, by their keys."""
    return {key: value for key, value in leaves(config) if key != _KEY and not isinstance(value, Mapping)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)

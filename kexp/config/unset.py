"""Config values that the user has not set. A value that the user writes counts as set even if it equals the default.

`optimizer=auto` shows the settings of the default optimizer, and a model may bring its own optimizer instead. Setting
one of them chooses the default optimizer. A sweep's launcher may choose the backend unless the user sets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import AnyNode, DictConfig

from kexp.schema import AUTO, DEFAULT_OPTIMIZER

__all__ = ["Unset", "as_unset", "is_set", "name_default_optimizer"]


class Unset(AnyNode):
    """A node with a default that the user has not set. YAML replaces the node; an override sets its value again."""

    def _set_value(self, value: Any, flags: dict[str, bool] | None = None) -> None:
        self.__dict__["is_set"] = "is_set" in self.__dict__
        super()._set_value(value, flags)

    def __deepcopy__(self, memo: dict[int, Any]) -> Unset:
        made = Unset()
        self._deepcopy_impl(made, memo)
        return made


def as_unset(node: Mapping[str, Any]) -> DictConfig:
    """Returns a component's config whose values, except `name`, are unset."""
    return DictConfig({key: each if key == "name" else Unset(each) for key, each in node.items()})


def is_set(config: DictConfig, key: str) -> bool:
    """Returns whether the user set the value of a key, or it never was unset.

    Args:
        config: the parent of the key.
        key: the key's last name.
    """
    node = config._get_node(key)
    return not isinstance(node, Unset) or bool(node.__dict__["is_set"])


def name_default_optimizer(config: DictConfig) -> DictConfig:
    """Replaces `optimizer=auto` by the default optimizer's name if the user set one of its settings.

    Args:
        config: changed in place.

    Returns:
        The same config.
    """
    optimizer = config.get("optimizer")
    if isinstance(optimizer, DictConfig) and optimizer.get("name") == AUTO:
        # The schedule comes from a group of its own and is None by default.
        settings = [key for key in optimizer if key != "name" and (key != "schedule" or optimizer[key] is not None)]
        if any(is_set(optimizer, str(key)) for key in settings):
            optimizer.name = DEFAULT_OPTIMIZER
    return config

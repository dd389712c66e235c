"""What nobody set. A setting that is typed counts, though its value be the default's: on the command line, in a file.

The settings of `optimizer=auto` are those of the default optimizer, until a model brings one of its own. Whoever sets
one of them names the default optimizer. The backend is a sweep's launcher's to choose, until somebody names one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import AnyNode, DictConfig

from kexp.schema import AUTO, DEFAULT_OPTIMIZER

__all__ = ["LeftOpen", "as_left_open", "is_set", "name_what_is_set"]


class LeftOpen(AnyNode):
    """A value until it is set: files replace the node, and an override sets its value once more."""

    def _set_value(self, value: Any, flags: dict[str, bool] | None = None) -> None:
        self.__dict__["is_set"] = "is_set" in self.__dict__
        super()._set_value(value, flags)

    def __deepcopy__(self, memo: dict[int, Any]) -> LeftOpen:
        made = LeftOpen()
        self._deepcopy_impl(made, memo)
        return made


def as_left_open(node: Mapping[str, Any]) -> DictConfig:
    """A component's config, of which nothing is set."""
    return DictConfig({key: each if key == "name" else LeftOpen(each) for key, each in node.items()})


def is_set(config: DictConfig, key: str) -> bool:
    """Whether somebody set a value that was left open."""
    node = config._get_node(key)
    return not isinstance(node, LeftOpen) or bool(node.__dict__["is_set"])


def name_what_is_set(config: DictConfig) -> DictConfig:
    """The config, its optimizer named where any of its settings is set. Changes it in place."""
    optimizer = config.get("optimizer")
    if isinstance(optimizer, DictConfig) and optimizer.get("name") == AUTO:
        # Its schedule is another group's choice, `none` by default.
        settings = [key for key in optimizer if key != "name" and (key != "schedule" or optimizer[key] is not None)]
        if any(is_set(optimizer, str(key)) for key in settings):
            optimizer.name = DEFAULT_OPTIMIZER
    return config

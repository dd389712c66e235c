"""The modules of the user that an experiment's config refers to, and their files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kexp.registry.own_code import is_kept, sources_of
from kexp.schema import Experiment

__all__ = ["own_modules", "own_sources"]

_REFERENCE = re.compile(r"(?<!\S)([A-Za-z_][\w.]*):[A-Za-z_][\w.]*")


def own_modules(experiment: Experiment) -> list[str]:
    """Return the names of the user's modules that an experiment's references name, sorted."""
    named = {found.group(1) for found in _REFERENCE.finditer(" ".join(_texts(experiment.as_dict())))}
    return [module for module in sorted(named) if is_kept(module)]


def own_sources(experiment: Experiment) -> dict[str, Path]:
    """Return name -> file of the user's modules, and of the modules of the user that they import."""
    return {name: file for module in own_modules(experiment) for name, file in sources_of(module).items()}


def _texts(node: Any) -> Iterator[str]:
    """Yield every string in a config."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for each in node.values():
            yield from _texts(each)
    elif isinstance(node, (list, tuple)):
        for each in node:
            yield from _texts(each)

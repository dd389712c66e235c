"""The modules of the user that an experiment's config refers to, and their files."""

from __future__ import annotations

from pathlib import Path

from kexp.registry.own_code import is_kept, sources_of
from kexp.schema import Experiment

__all__ = ["own_modules", "own_sources"]


def own_modules(experiment: Experiment) -> list[str]:
    """Returns the names of the user's modules that an experiment's references name, sorted."""
    return sorted(filter(is_kept, frozenset().union(*(node.modules for node in experiment.nodes()))))


def own_sources(experiment: Experiment) -> dict[str, Path]:
    """Returns name -> file of the user's modules, and of the modules of the user that they import."""
    return {name: file for module in own_modules(experiment) for name, file in sources_of(module).items()}

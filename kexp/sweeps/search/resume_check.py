"""What must not change when a search resumes: its space, settings, objectives and seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kexp.errors import ConfigError
from kexp.sweeps.objective import Objective
from kexp.sweeps.search.optuna_package import no_warnings
from kexp.sweeps.search.space.axes import Space

__all__ = ["check_unchanged", "study_attributes"]

_HOW_IT_RUNS = re.compile(r"^[+~]*(hydra[./]|sweep\.|tracking\b|save\b|name=|trainer\.verbose)")


def check_unchanged(
    name: str, storage: Any, space: Space, objectives: Sequence[Objective], seeds: Sequence[int]
) -> None:
    """Checks that the request equals that of the stored study of the same name, if there is one. Writes nothing.

    Args:
        name: the study's name.
        storage: Optuna's storage.
        space: the requested search space.
        objectives: the requested objectives.
        seeds: the seeds that each suggestion runs with.

    Raises:
        ConfigError: the study was started with another space, settings, objectives or seeds.
    """
    with no_warnings():
        found = [each for each in storage.get_all_studies() if each.study_name == name]
    if not found or "kexp.space" not in found[0].user_attrs:
        return
    change = _change(found[0].user_attrs, study_attributes(space, objectives, seeds))
    if change:
        raise ConfigError(f"the study {name!r} {change}; keep its settings, or give another sweep.name")


def study_attributes(space: Space, objectives: Sequence[Objective], seeds: Sequence[int]) -> dict[str, Any]:
    """Returns the attributes that must not change when a study resumes."""
    return {
        "kexp.objectives": [f"{objective.direction} {objective.metric}" for objective in objectives],
        "kexp.space": space.signature(),
        "kexp.settings": sorted(each for each in space.fixed if not _HOW_IT_RUNS.match(each)),
        "kexp.seeds": list(seeds),
    }


def _change(begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Describes the first attribute that differs from those of the study; empty if all are equal."""
    before, after = begun["kexp.space"], now["kexp.space"]
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            before_text, now_text = (each.get(name) or f"no {name}" for each in (before, after))
            return f"was started with {before_text}, not {now_text}"
    for key, name in (("kexp.settings", "settings"), ("kexp.objectives", "objective"), ("kexp.seeds", "seeds")):
        if begun.get(key) != now[key]:
            before_text, now_text = (
                " ".join(map(str, each or [])) or f"no {name}" for each in (begun.get(key), now[key])
            )
            return f"was started with {name} {before_text}, not {now_text}"
    return ""

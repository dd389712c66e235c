"""The entry points of every installed package, in kexp's groups."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

__all__ = [
    "OURSELVES",
    "EntryPoint",
    "entry_points",
]

OURSELVES = "kexp"


@dataclass(frozen=True)
class EntryPoint:
    """An entry point in one of kexp's groups, with the package and version that registers it."""

    group: str
    name: str
    value: str
    distribution: str
    version: str


@lru_cache(maxsize=1)
def entry_points() -> tuple[EntryPoint, ...]:
    """Returns the `kexp.*` entry points of all installed distributions; the first of a name on the path counts."""
    found: list[EntryPoint] = []
    seen: set[str] = set()
    for distribution in distributions():
        text = distribution.read_text("entry_points.txt") if _may_have_entries(distribution) else None
        if not text or "[kexp." not in text:
            continue
        described = distribution.metadata  # parsed anew at each look
        name, version = described["Name"], described["Version"]
        if name in seen:
            continue
        seen.add(name)
        found += [
            EntryPoint(point.group.removeprefix("kexp."), point.name, point.value, name, version)
            for point in distribution.entry_points
            if point.group.startswith("kexp.")
        ]
    return tuple(sorted(found, key=lambda entry: (entry.distribution != OURSELVES, entry.distribution)))


def _may_have_entries(distribution: Distribution) -> bool:
    folder = getattr(distribution, "_path", None)
    return folder is None or (Path(folder) / "entry_points.txt").is_file()

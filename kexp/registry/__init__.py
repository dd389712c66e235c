"""What exists: every component that an installed package registers, found by metadata alone.

A package registers a component as an entry point `name = "module:factory"` in the group `kexp.<group>`, and a whole
module of exports (`layer = "my_package.layers"`: every public class is a layer) in the group `kexp.exports`. kexp's
own pyproject does the same. Listing imports nothing; a component is imported when it is chosen.

A colon makes a name a reference: `my_project.optim:Lookahead` needs no registration.
"""

from __future__ import annotations

from kexp.registry.catalogue import (
    PARTS,
    aliases_of,
    components,
    find,
    find_part,
    misplaced,
    names,
    offers,
    part_names,
    refresh,
)
from kexp.registry.component import Component, unread_references
from kexp.registry.entry_points import OURSELVES

__all__ = [
    "OURSELVES",
    "PARTS",
    "Component",
    "aliases_of",
    "components",
    "find",
    "find_part",
    "misplaced",
    "names",
    "offers",
    "part_names",
    "refresh",
    "unread_references",
]

"""The components of every group, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from kexp import signatures
from kexp.errors import ComponentError, UnknownNameError, suggestion
from kexp.registry.aliases import keras_aliases
from kexp.registry.compiled_parts import CALLED
from kexp.registry.component import Component
from kexp.registry.entry_points import OURSELVES, EntryPoint, entry_points
from kexp.registry.groups import GROUPS, Group, find_group
from kexp.registry.own_code import digest_of, meant_reference
from kexp.signatures import to_snake_case

__all__ = [
    "PARTS",
    "aliases_of",
    "components",
    "find",
    "find_part",
    "misplaced",
    "names",
    "offers",
    "part_names",
    "refresh",
]

PARTS = ("engine", "launcher", "sweeper")  # parts of kexp that packages add to, besides components

# Public names of Keras' modules that are not components: base classes, and objects that a config cannot create.
_NO_COMPONENTS = frozenset(
    "Optimizer LossScaleOptimizer MultiOptimizer OptimizerMap Loss Metric Mean Sum MeanMetricWrapper Layer Callback"
    " CallbackList History ProgbarLogger LambdaCallback LearningRateSchedule Initializer Regularizer Constraint"
    " InputSpec".split()
)


def names(group: str) -> list[str]:
    """Returns every name of a group, sorted. Imports nothing.

    Raises:
        UnknownNameError: there is no such group.
    """
    return sorted(_table(find_group(group).name))


def offers(group: str, name: str) -> bool:
    """Returns whether a group has a name, or an alias that Keras accepts. Imports nothing."""
    return name in _table(group) or name in _second(group)


def aliases_of(group: str, label: str) -> list[str]:
    """Returns Keras' aliases for the component of a name, sorted. Imports nothing."""
    return sorted(second for second, first in _second(group).items() if first == label)


def components(group: str | None = None) -> Iterator[tuple[str, Component]]:
    """Yields every name with its component, in the order of groups and names. Imports nothing."""
    for each in [find_group(group).name] if group else GROUPS:
        yield from sorted(_table(each).items())


def find(group: str, name: str, key: str | None = None) -> Component:
    """Returns the component of a name, or of a reference `module:attribute`.

    Args:
        group: the group's name.
        name: a registered name or a reference.
        key: the config key, for messages; the group's name unless given.

    Raises:
        UnknownNameError: there is no such name; the message has the nearest.
        ComponentError: two packages claim the name.
    """
    owner = find_group(group)
    if ":" in name:
        return _reference(owner, name)
    return _found(group, name, owner.noun, key or group)


def part_names(kind: str) -> list[str]:
    """Returns the names of launchers, sweepers or engines, as `kind` says, one of `PARTS`. Imports nothing."""
    return sorted(_table(kind))


def find_part(kind: str, name: str) -> Component:
    """Returns the launcher, sweeper or engine of a name: an entry point of the group `kexp.<kind>`.

    Raises:
        UnknownNameError: there is no such name; the message has the nearest.
        ComponentError: two packages claim the name.
    """
    return _found(kind, name, kind, "trainer.engine" if kind == "engine" else f"hydra/{kind}")


def _found(group: str, name: str, noun: str, key: str) -> Component:
    table = _table(group)
    name = name if name in table else _second(group).get(name, name)
    if name not in table:
        meant = meant_reference(name) if group in GROUPS else None
        raise UnknownNameError(key, noun, name, table, f"; by reference it is {meant}" if meant else "")
    found = table[name]
    if found.claimants and found.distribution != OURSELVES:
        way_out = f", or choose by reference: {group}={found.target}" if group in GROUPS else ""
        raise ComponentError(
            f"{key}: the name {name!r} is claimed by both {found.origin} and {', '.join(found.claimants)}; "
            f"uninstall one{way_out}"
        )
    return found


@cache
def _second(group: str) -> dict[str, str]:
    """Returns alias -> name, for the names that Keras accepts besides those of its exports."""
    table, found = _table(group), {}
    for entry in entry_points():
        if entry.group != "exports" or entry.name != group:
            continue
        for second, stands_for in keras_aliases(entry.value).items():
            label = next((each for each in (stands_for, _offered_name(group, stands_for)) if each in table), None)
            if label is not None and second not in table:
                found[second] = label
    return found


def misplaced() -> list[str]:
    """Returns a sentence for each entry point in a group that does not exist, which is never used."""
    known = [*GROUPS, *PARTS, "exports"]
    return [
        f"{entry.name} of {entry.distribution} {entry.version} is registered in kexp.{entry.group}, a group that does "
        f"not exist{suggestion(entry.group, known)}"
        for entry in entry_points()
        if entry.group not in known
    ]


def refresh() -> None:
    """Clears the caches, so that newly installed packages are found."""
    for cached in (_table, _second, entry_points, _exports_of):
        cached.cache_clear()


def _reference(group: Group, name: str) -> Component:
    target, _, part = name.partition(CALLED)
    module, _, attribute = target.partition(":")
    if (meant := meant_reference(name)) is not None:
        raise ComponentError(f"{group.name}: a reference reads module:attribute, {meant}, got {name!r}")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise ComponentError(f"{group.name}: a reference reads module:attribute, got {name!r}")
    return Component(group.name, name, target, "reference", digest_of(module), part=part)


@cache
def _table(group: str) -> dict[str, Component]:
    """Returns name -> component of a group. kexp's own come first and are never replaced."""
    table: dict[str, Component] = {}
    own_names = {(e.distribution, e.value, e.name) for e in entry_points() if e.group == group}
    for entry in entry_points():
        for label, claim in _offers(entry, group, own_names):
            holder = table.get(label)
            if holder is None:
                table[label] = claim
            elif holder.distribution != claim.distribution:
                table[label] = replace(holder, claimants=(*holder.claimants, claim.origin))
            elif holder.exported and not claim.exported:
                table[label] = claim
    return table


def _offers(entry: EntryPoint, group: str, own_names: set[tuple[str, str, str]]) -> Iterator[tuple[str, Component]]:
    """Yield what an entry point adds to a group, by name: itself, or each export of its module."""
    source = entry.distribution, entry.version
    if entry.group == group:
        yield entry.name, Component(group, _first_name(entry, own_names), entry.value, *source)
    elif entry.group == "exports" and entry.name == group:
        for name, target in _exports_of(group, entry.value):
            yield name, Component(group, name, f"{entry.value}:{target}", *source, exported=True)


@cache
def _exports_of(group: str, module: str) -> tuple[tuple[str, str], ...]:
    """Returns (registered name, name in the module) of each component that a module exports."""
    try:
        public = signatures.exported(module)
    except (ModuleNotFoundError, SyntaxError, OSError):
        return ()
    functions = group == "activation"
    offered = []
    for name in public:
        is_class = name[0].isupper()
        if name in _NO_COMPONENTS or is_class == functions or name in ("get", "serialize", "deserialize"):
            continue
        offered.append((_offered_name(group, name), name))
    return tuple(offered)


def _offered_name(group: str, name: str) -> str:
    """Returns the name of an export as Keras writes it: optimizers in lower case, layers by their class names."""
    if group in ("layer", "activation"):
        return name
    return name.lower() if group == "optimizer" else to_snake_case(name)


def _first_name(entry: EntryPoint, own_names: set[tuple[str, str, str]]) -> str:
    """Returns the main name of a component: that of its factory if it is registered too, else the entry point's."""
    attribute = entry.value.partition(":")[2]
    return attribute if (entry.distribution, entry.value, attribute) in own_names else entry.name

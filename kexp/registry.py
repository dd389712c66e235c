"""What exists: every component that an installed package registers, found by metadata alone.

A package registers a component as an entry point `name = "module:factory"` in the group `kexp.<group>`, and a whole
module of exports (`layer = "my_package.layers"`: every public class is a layer) in the group `kexp.exports`. kexp's
own pyproject does the same. Listing imports nothing; a component is imported when it is chosen.

A colon makes a name a reference: `my_project.optim:Lookahead` needs no registration.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from kexp import signatures
from kexp.aliases import keras_aliases
from kexp.compiled_parts import CALLED, CompiledPart
from kexp.errors import ComponentError, UnknownNameError, first_line, nearest, suggestion
from kexp.groups import GROUPS, Group, find_group
from kexp.hyperparameters import Tunable, as_tunable
from kexp.own_code import digest_of, meant_reference
from kexp.quiet import silence_libraries
from kexp.reading import Reading, is_there_already, read_object, read_signature
from kexp.signatures import Parameter, Signature, to_snake_case

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

OURSELVES = "kexp"
PARTS = ("engine", "launcher", "sweeper")  # of kexp itself, which packages add to as they add components
# Public names of an exported module that are no components: base classes, and what makes no sense from a config.
_NO_COMPONENTS = frozenset(
    "Optimizer LossScaleOptimizer MultiOptimizer OptimizerMap Loss Metric Mean Sum MeanMetricWrapper Layer Callback"
    " CallbackList History ProgbarLogger LambdaCallback LearningRateSchedule Initializer Regularizer Constraint"
    " InputSpec".split()
)
_unread: ContextVar[bool] = ContextVar("unread", default=False)


@dataclass(frozen=True)
class Component:
    """One thing that a config can name.

    Attributes:
        group: the group's name.
        name: its registered name; for a second name, the first one (`huber` is `huber_loss`).
        target: `module:attribute` of the factory.
        distribution: the package that registers it, or "reference".
        version: that package's version; for a reference, a digest of the module's source.
        exported: a member of a `kexp.exports` module: read from source, never imported for its signature.
        claimants: other packages that claim the name.
        part: of the model that the factory makes, what its own code compiles it with; see `kexp.compiled_parts`.
    """

    group: str
    name: str
    target: str
    distribution: str
    version: str
    exported: bool = False
    claimants: tuple[str, ...] = field(default=(), compare=False)
    part: str = ""

    @property
    def origin(self) -> str:
        """The package and version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def common(self) -> tuple[Parameter, ...]:
        """The parameters that it has because of its group, and kexp itself interprets."""
        group = GROUPS[self.group]
        return group.common if self.distribution == OURSELVES else (*group.common, *group.own)

    def load(self, *, anew: bool = False) -> Any:
        """Imports what the name stands for: a class, a function, or an object of a Keras class.

        Args:
            anew: run the module once more, for an object that nothing else has a hold of.

        Raises:
            ComponentError: it does not import, is not there, or is none of these. Any failure of its module,
                SystemExit and SyntaxError too, is its own and ends here.
        """
        module, _, attribute = self.target.partition(":")
        silence_libraries()
        try:
            with _no_arguments():
                made: Any = _run_again(module) if anew else importlib.import_module(module)
            for part in attribute.split("."):
                made = getattr(made, part)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise ComponentError(
                f"{self.group}={self.name}: {self.target} of {self.origin} cannot be imported: {_why(error, module)}"
            ) from error
        if self.group == "model" or self.part:
            made = _tunable(made, f"model={self.name}: {self.target} of {self.origin}") or made
        if self.part:
            return CompiledPart(made, self.part)
        if not callable(made) and not is_there_already(made):
            each = "; choose each member by a reference to it" if isinstance(made, (list, tuple, dict)) else ""
            raise ComponentError(
                f"{self.group}={self.name}: {self.target} of {self.origin} must be callable, got "
                f"{type(made).__name__}{each}"
            )
        return made

    def reading(self) -> Reading:
        """How what it stands for becomes a part. Imports that, but never Keras for a built-in.

        Raises:
            ComponentError: it cannot be imported or read.
        """
        if _unread.get() and self.distribution == "reference":
            return Reading("made", Signature(()))
        group, label = GROUPS[self.group], f"{self.group}={self.name}: {self.target} of {self.origin}"
        if not self.exported:
            return read_object(group, self.load(), label)
        try:
            signature = signatures.of_source(self.target)
        except (LookupError, ModuleNotFoundError, SyntaxError) as error:
            raise ComponentError(f"{self.group}={self.name}: cannot read {self.target}: {first_line(error)}") from error
        if self.target.rpartition(":")[2][0].isupper():
            group = replace(group, called_with=())  # a class
        return read_signature(group, signature, label)

    def signature(self) -> Signature:
        """Its parameters, less those that kexp and Keras fill in; imports and raises as `reading` does."""
        return self.reading().signature

    def summary(self) -> str:
        """The first sentence of its documentation.

        Raises:
            ComponentError: it cannot be imported or read.
        """
        if self.exported:
            try:
                return signatures.summary_of_source(self.target)
            except (LookupError, ModuleNotFoundError, SyntaxError):
                pass  # `signature` says what is wrong
        return self.signature().summary

    def problem(self) -> str | None:
        """Why the component cannot be used, or None. Imports it unless it is an export."""
        try:
            self.signature()
        except ComponentError as error:
            return str(error)
        return None


def names(group: str) -> list[str]:
    """Every name that the group offers, sorted. Imports nothing.

    Raises:
        UnknownNameError: no such group.
    """
    return sorted(_table(find_group(group).name))


def offers(group: str, name: str) -> bool:
    """Whether the group has that name, a second one that Keras takes among them. Imports nothing."""
    return name in _table(group) or name in _second(group)


def aliases_of(group: str, label: str) -> list[str]:
    """The further words that Keras takes for the component of that name, sorted. Imports nothing."""
    return sorted(second for second, first in _second(group).items() if first == label)


def components(group: str | None = None) -> Iterator[tuple[str, Component]]:
    """Every offered name with its component, in order of group and name. Imports nothing."""
    for each in [find_group(group).name] if group else GROUPS:
        yield from sorted(_table(each).items())


def find(group: str, name: str, key: str | None = None) -> Component:
    """The component of that name, or the one that a `module:attribute` reference points at.

    Args:
        group: the group's name.
        name: a registered name or a reference.
        key: the config key to blame in messages; the group's name unless given.

    Raises:
        UnknownNameError: no such name; the message has the nearest.
        ComponentError: two packages claim the name.
    """
    owner = find_group(group)
    if ":" in name:
        return _reference(owner, name)
    return _found(group, name, owner.noun, key or group)


@contextmanager
def unread_references() -> Iterator[None]:
    """References have no parameters for a while, so that composing a config imports nobody's module."""
    token = _unread.set(True)
    try:
        yield
    finally:
        _unread.reset(token)


def part_names(kind: str) -> list[str]:
    """The names that packages offer for a part of kexp that is no component, one of `PARTS`. Imports nothing."""
    return sorted(_table(kind))


def find_part(kind: str, name: str) -> Component:
    """The launcher, the sweeper or the engine of that name: an entry point of the group `kexp.<kind>`.

    Raises:
        UnknownNameError: no such name; the message has the nearest.
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
    """Second name -> name, of what Keras takes as text besides the names that it offers."""
    table, found = _table(group), {}
    for entry in _entries():
        if entry.group != "exports" or entry.name != group:
            continue
        for second, stands_for in keras_aliases(entry.value).items():
            label = next((each for each in (stands_for, _offered_name(group, stands_for)) if each in table), None)
            if label is not None and second not in table:
                found[second] = label
    return found


def misplaced() -> list[str]:
    """A sentence for each entry point in a group that does not exist: nothing would ever look there."""
    known = [*GROUPS, *PARTS, "exports"]
    return [
        f"{entry.name} of {entry.distribution} {entry.version} is registered in kexp.{entry.group}, a group that does "
        f"not exist{suggestion(entry.group, known)}"
        for entry in _entries()
        if entry.group not in known
    ]


def refresh() -> None:
    """Forgets what was listed, so that packages installed since are seen."""
    for cached in (_table, _second, _entries, _exports_of):
        cached.cache_clear()


_tunables: dict[int, tuple[Any, Tunable | None]] = {}  # with the object, so that its number stays its own


def _tunable(made: Any, label: str) -> Tunable | None:
    """What is written for KerasTuner, as a factory; one for each, as it is run to see what it declares."""
    if id(made) not in _tunables:
        _tunables[id(made)] = made, as_tunable(made, label)
    return _tunables[id(made)][1]


def _reference(group: Group, name: str) -> Component:
    target, _, part = name.partition(CALLED)
    module, _, attribute = target.partition(":")
    if (meant := meant_reference(name)) is not None:
        raise ComponentError(f"{group.name}: a reference reads module:attribute, {meant}, got {name!r}")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise ComponentError(f"{group.name}: a reference reads module:attribute, got {name!r}")
    return Component(group.name, name, target, "reference", digest_of(module), part=part)


def _why(error: BaseException, module: str) -> str:
    if isinstance(error, SystemExit):
        ended = f"its module calls sys.exit({'' if error.code is None else repr(error.code)})"
        return f"{ended}; put what a script alone does below if __name__ == '__main__'"
    known: Iterable[str] = ()
    if isinstance(error, AttributeError):
        known = [each for each in dir(error.obj) if not each.startswith("_")]
    elif isinstance(error, ModuleNotFoundError) and error.name == module:
        known = [each.stem for each in Path.cwd().glob("*.py")]
    best = nearest(error.name or "", known) if isinstance(error, (AttributeError, ImportError)) else None
    return f"{type(error).__name__}: {first_line(error)}{f'; did you mean {best!r}?' if best is not None else ''}"


@contextmanager
def _no_arguments() -> Iterator[None]:
    """What a module reads of the command line as it is imported is what a script that was given nothing reads."""
    kept, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = kept


def _run_again(name: str) -> Any:
    """A module made anew from its source; the one that is loaded stays as it is."""
    importlib.import_module(name)
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class _Entry:
    group: str
    name: str
    value: str
    distribution: str
    version: str


@lru_cache(maxsize=1)
def _entries() -> tuple[_Entry, ...]:
    """Every `kexp.*` entry point of every installed distribution; the first of a name on the path shadows the rest."""
    found: list[_Entry] = []
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
            _Entry(point.group.removeprefix("kexp."), point.name, point.value, name, version)
            for point in distribution.entry_points
            if point.group.startswith("kexp.")
        ]
    return tuple(sorted(found, key=lambda entry: (entry.distribution != OURSELVES, entry.distribution)))


def _may_have_entries(distribution: Distribution) -> bool:
    folder = getattr(distribution, "_path", None)
    return folder is None or (Path(folder) / "entry_points.txt").is_file()


@cache
def _table(group: str) -> dict[str, Component]:
    """name -> component of one group. kexp's own come first and are never displaced."""
    table: dict[str, Component] = {}
    own_names = {(e.distribution, e.value, e.name) for e in _entries() if e.group == group}
    claims = [
        Component(group, _first_name(entry, own_names), entry.value, entry.distribution, entry.version)
        if offered is None
        else Component(group, offered, f"{entry.value}:{target}", entry.distribution, entry.version, exported=True)
        for entry in _entries()
        for offered, target in _offers(entry, group)
    ]
    labels = [
        entry.name if offered is None else offered for entry in _entries() for offered, _ in _offers(entry, group)
    ]
    for label, claim in zip(labels, claims, strict=True):
        holder = table.get(label)
        if holder is None:
            table[label] = claim
        elif holder.distribution != claim.distribution:
            table[label] = _with_claimant(holder, claim.origin)
        elif holder.exported and not claim.exported:
            table[label] = claim
    return table


def _offers(entry: _Entry, group: str) -> Iterator[tuple[str | None, str]]:
    """What an entry point adds to a group: itself, or each export of its module."""
    if entry.group == group:
        yield None, ""
    elif entry.group == "exports" and entry.name == group:
        yield from _exports_of(group, entry.value)


@cache
def _exports_of(group: str, module: str) -> tuple[tuple[str, str], ...]:
    """(offered name, public name) of each component that a module exports."""
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
    """The name that Keras itself gives an export: optimizers run together, layers keep their class names."""
    if group in ("layer", "activation"):
        return name
    return name.lower() if group == "optimizer" else to_snake_case(name)


def _first_name(entry: _Entry, own_names: set[tuple[str, str, str]]) -> str:
    """The name to know a component by: its factory's, where that is registered too, else the one asked for."""
    attribute = entry.value.partition(":")[2]
    return attribute if (entry.distribution, entry.value, attribute) in own_names else entry.name


def _with_claimant(holder: Component, origin: str) -> Component:
    return Component(
        holder.group,
        holder.name,
        holder.target,
        holder.distribution,
        holder.version,
        holder.exported,
        (*holder.claimants, origin),
    )

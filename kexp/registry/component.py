"""A component: what a name in the config stands for, how it is imported, and its parameters."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from kexp import signatures
from kexp.errors import ComponentError, first_line, nearest
from kexp.registry.compiled_parts import CompiledPart
from kexp.registry.entry_points import OURSELVES
from kexp.registry.groups import GROUPS
from kexp.registry.hyperparameters import Tunable, as_tunable
from kexp.registry.own_code import imports_keras
from kexp.registry.reading import Reading, is_there_already, read_object, read_signature
from kexp.signatures import Parameter, Signature
from kexp.system.process_settings import apart
from kexp.system.quiet import silence_libraries

__all__ = [
    "Component",
    "unread_references",
]

_unread: ContextVar[bool] = ContextVar("unread", default=False)


@dataclass(frozen=True)
class Component:
    """What a name in the config stands for.

    Attributes:
        group: the group's name.
        name: its registered name; for a second name, the first one (`huber` is `huber_loss`).
        target: `module:attribute` of the factory.
        distribution: the package that registers it, or "reference".
        version: that package's version; for a reference, a digest of the module's source.
        exported: whether a `kexp.exports` module exports it; its signature is then read from source, without an import.
        claimants: other packages that claim the name.
        part: names a loss or metric that the factory's model is compiled with; see `compiled_parts`.
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
    def source(self) -> str:
        """Its target and its package, for messages."""
        return f"{self.target} of {self.origin}"

    @property
    def common(self) -> tuple[Parameter, ...]:
        """The parameters of its group, which kexp itself interprets."""
        group = GROUPS[self.group]
        return group.common if self.distribution == OURSELVES else (*group.common, *group.own)

    @property
    def named_as_keras(self) -> bool:
        """Whether its parameters have Keras' meaning: those of kexp's components, optimizers and Keras' objects."""
        if self.distribution == OURSELVES or self.group == "optimizer":
            return True
        return not self.exported and type(self.load()).__module__.startswith("keras.")

    def load(self, *, anew: bool = False) -> Any:
        """Imports the class, the function or the object of a Keras class that the name stands for.

        Args:
            anew: whether to run the module again, for an object without other references.

        Raises:
            ComponentError: it cannot be imported, does not exist, or is none of these. Any exception of its module,
                SystemExit and SyntaxError too, becomes this error.
        """
        module, _, attribute = self.target.partition(":")
        silence_libraries()
        try:
            if self.distribution != OURSELVES and module not in sys.modules and imports_keras(module):
                importlib.import_module("keras")  # before the module sets the backend, or anything else of Keras
            with _no_arguments(), apart(module):
                made: Any = _run_again(module) if anew else importlib.import_module(module)
            for part in attribute.split("."):
                made = getattr(made, part)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise ComponentError(
                f"{self.group}={self.name}: {self.source} cannot be imported: {_why(error, module)}"
            ) from error
        if self.group == "model" or self.part:
            made = _tunable(made, f"model={self.name}: {self.source}") or made
        if self.part:
            return CompiledPart(made, self.part)
        if not callable(made) and not is_there_already(made):
            each = "; choose each member by a reference to it" if isinstance(made, (list, tuple, dict)) else ""
            raise ComponentError(
                f"{self.group}={self.name}: {self.source} must be callable, got {type(made).__name__}{each}"
            )
        return made

    def reading(self) -> Reading:
        """Returns how the object becomes a part of the model. Imports it, but never Keras for a built-in component.

        Raises:
            ComponentError: it cannot be imported or read.
        """
        if _unread.get() and self.distribution == "reference":
            return Reading("made", Signature(()))
        group, label = GROUPS[self.group], f"{self.group}={self.name}: {self.source}"
        if not self.exported:
            return _reading_of_ours(self) if self.distribution == OURSELVES else read_object(group, self.load(), label)
        try:
            signature = signatures.of_source(self.target)
        except (LookupError, ModuleNotFoundError, SyntaxError) as error:
            raise ComponentError(f"{self.group}={self.name}: cannot read {self.target}: {first_line(error)}") from error
        if self.target.rpartition(":")[2][0].isupper():
            group = replace(group, called_with=())  # a class
        return read_signature(group, signature, label)

    def signature(self) -> Signature:
        """Returns its parameters without those that kexp and Keras fill in; imports and raises as `reading` does."""
        return self.reading().signature

    def summary(self) -> str:
        """Returns the first sentence of its documentation.

        Raises:
            ComponentError: it cannot be imported or read.
        """
        if self.exported or self.distribution == OURSELVES:
            try:
                return signatures.summary_of_source(self.target)
            except (LookupError, ModuleNotFoundError, SyntaxError):
                pass  # `signature` raises the error
        return self.signature().summary

    def problem(self) -> str | None:
        """Returns why the component cannot be used, or None. Imports it unless it is an export."""
        try:
            self.signature()
        except ComponentError as error:
            return str(error)
        return None


@contextmanager
def unread_references() -> Iterator[None]:
    """References have no parameters within the block, so that composing a config imports no module of the user's."""
    token = _unread.set(True)
    try:
        yield
    finally:
        _unread.reset(token)


_tunables: dict[int, tuple[Any, Tunable | None]] = {}  # keeps the object too, so that its id is not reused


def _tunable(made: Any, label: str) -> Tunable | None:
    """Returns a factory for code that is written for KerasTuner, else None. Cached, because the code is run for it."""
    if id(made) not in _tunables:
        _tunables[id(made)] = made, as_tunable(made, label)
    return _tunables[id(made)][1]


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
    """Hides the command line from a module that reads it when it is imported."""
    kept, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = kept


def _run_again(name: str) -> Any:
    """Returns a new module that is run from the source; the loaded module is unchanged."""
    importlib.import_module(name)
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _reading_of_ours(component: Component) -> Reading:
    """Cached: a sweep checks thousands of configs, and kexp's own code does not change meanwhile."""
    label = f"{component.group}={component.name}: {component.source}"
    return read_object(GROUPS[component.group], component.load(), label)

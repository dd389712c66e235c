"""One thing that a config can name: how it is imported, and how it becomes a part."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
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
    """One thing that a config can name.

    Attributes:
        group: the group's name.
        name: its registered name; for a second name, the first one (`huber` is `huber_loss`).
        target: `module:attribute` of the factory.
        distribution: the package that registers it, or "reference".
        version: that package's version; for a reference, a digest of the module's source.
        exported: a member of a `kexp.exports` module: read from source, never imported for its signature.
        claimants: other packages that claim the name.
        part: of the model that the factory makes, what its own code compiles it with; see `compiled_parts`.
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
        """What it stands for and whose that is, for messages."""
        return f"{self.target} of {self.origin}"

    @property
    def common(self) -> tuple[Parameter, ...]:
        """The parameters that it has because of its group, and kexp itself interprets."""
        group = GROUPS[self.group]
        return group.common if self.distribution == OURSELVES else (*group.common, *group.own)

    @property
    def named_as_keras(self) -> bool:
        """Whether its parameters' names mean what they mean in Keras: of kexp's own, optimizers, and Keras' objects."""
        if self.distribution == OURSELVES or self.group == "optimizer":
            return True
        return not self.exported and type(self.load()).__module__.startswith("keras.")

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
        """How what it stands for becomes a part. Imports that, but never Keras for a built-in.

        Raises:
            ComponentError: it cannot be imported or read.
        """
        if _unread.get() and self.distribution == "reference":
            return Reading("made", Signature(()))
        group, label = GROUPS[self.group], f"{self.group}={self.name}: {self.source}"
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
        if self.exported or self.distribution == OURSELVES:
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


@contextmanager
def unread_references() -> Iterator[None]:
    """References have no parameters for a while, so that composing a config imports nobody's module."""
    token = _unread.set(True)
    try:
        yield
    finally:
        _unread.reset(token)


_tunables: dict[int, tuple[Any, Tunable | None]] = {}  # with the object, so that its number stays its own


def _tunable(made: Any, label: str) -> Tunable | None:
    """What is written for KerasTuner, as a factory; one for each, as it is run to see what it declares."""
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

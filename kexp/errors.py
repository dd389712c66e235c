"""What can go wrong, as one tree.

    KexpError
    ├── ConfigError              what was asked for cannot be; nothing was computed (exit code 2)
    │   ├── UnknownNameError     a name that does not exist, with the nearest that does
    │   ├── ComponentError       a registered component that is broken, clashes or breaks its promise
    │   ├── BuildError           a component refused its parameters; keeps the original type as well
    │   └── DataError            the data cannot be read, split or used for this task
    ├── TrainingError            training began and could not end well (NaN, say)
    ├── StoreError               the tracking store cannot be reached, read or written
    ├── SaveError                a model could not be written so that it reads back identically
    └── LoadError                a saved model is missing, damaged, or not what it claims to be

A message is one sentence: the config key, the rule, the value, and the nearest valid name where there is one.
"""

from __future__ import annotations

import difflib
import os
import re
import traceback
from collections.abc import Iterable
from typing import Any

__all__ = [
    "BuildError",
    "ComponentError",
    "ConfigError",
    "DataError",
    "KexpError",
    "LoadError",
    "SaveError",
    "StoreError",
    "TrainingError",
    "UnknownNameError",
    "in_a_line",
    "nearest",
    "without_passwords",
]


_WORDS = {"None": "null", "True": "true", "False": "false"}  # as YAML and the command line have them


class KexpError(Exception):
    """Anything that kexp raises by intent. `str(error)` is a sentence for the user."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a notebook: the sentence, without our frames; HYDRA_FULL_ERROR=1 shows them."""
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            return "".join(traceback.format_exception(self)).splitlines()
        notes: list[str] = getattr(self, "__notes__", [])
        return [f"{type(self).__name__}: {self}", *notes]


class ConfigError(KexpError):
    """What was asked for cannot be. Raised before any compute where that is possible."""

    exit_code = 2

    @classmethod
    def at(cls, key: str, rule: str, *value: Any) -> ConfigError:
        """The usual sentence: `key: rule, got value`."""
        got = f", got {_WORDS.get(repr(value[0]), repr(value[0]))}" if value else ""
        return cls(f"{key}: {rule}{got}")


class UnknownNameError(ConfigError):
    """A name that does not exist where it was used.

    Args:
        key: where the name was used: a config key or a command's argument.
        what: the kind of thing it should name, for example "optimizer".
        name: the name as given.
        known: every name that would have been valid.
    """

    def __init__(self, key: str, what: str, name: object, known: Iterable[str]) -> None:
        self.key, self.name, self.known = key, name, sorted(known)
        super().__init__(f"{key}: there is no {what} {str(name)!r}{suggestion(str(name), self.known)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), str(self), {**self.__dict__}))


class ComponentError(ConfigError):
    """A registered component cannot be used: it does not import, clashes, or breaks its group's promise."""


class BuildError(ConfigError):
    """A component refused its parameters. Raised through `BuildError.wrap`, which keeps the original type too."""

    @classmethod
    def wrap(cls, error: Exception, path: str, text: str = "") -> BuildError:
        """`error` again, its message led by the config path, catchable as its own type and as BuildError.

        Args:
            error: what the component raised.
            path: where the config names it.
            text: what to say in place of the error's first line.
        """
        message = f"{path}: {text or first_line(error)}"
        kind = type(error)
        try:
            both: Any = type(kind.__name__, (cls, kind), {"__reduce__": _plain, "__str__": lambda self: message})
            wrapped: BuildError = both.__new__(both, message)
            Exception.__init__(wrapped, message)
        except TypeError:  # two built-in exceptions whose memory layouts do not combine
            wrapped = cls(message)
        return wrapped


class DataError(ConfigError):
    """The data cannot be read, split or used for this task."""


class TrainingError(KexpError):
    """Training began and could not end well."""


class StoreError(KexpError):
    """The tracking store cannot be reached, read or written."""


class SaveError(KexpError):
    """A model could not be written so that it reads back identically."""


class LoadError(KexpError):
    """A saved model is missing, damaged, or not what it claims to be."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or that it begins or abbreviates; None where nothing is alike."""
    names = list(known)
    folded = {candidate.lower(): candidate for candidate in names}
    if len(name) > 1:
        by_initials = {"".join(word[0] for word in each.split("_") if word): each for each in folded}
        begun = [each for each in folded if each.startswith(name.lower() + "_")]
        if exact := by_initials.get(name.lower()) or min(begun, key=len, default=None):
            return folded[exact]
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    return folded[found[0]] if found else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """The tail of a message about an unknown name: the nearest one, or the first few there are."""
    names = list(known)
    best = nearest(name, names)
    if best is not None:
        return f"; did you mean {best!r}?"
    if not names:
        return ""
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; there are: {listed}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message that says something, or its type's name where none does.

    Keras' errors begin with the layer that was called, and colour the line after it. A password in an address becomes
    stars.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = without_passwords(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return next(iter(telling or lines), type(error).__name__)


def without_passwords(text: str) -> str:
    """The text with a password in an address, `http://me:secret@host`, replaced by stars."""
    text = re.sub(r"(://[^/\s:@]*):[^/\s]*@", r"\1:***@", text)
    return re.sub(r"(://\S*[?&]password=)[^&\s'\"]*", r"\1***", text)


def in_a_line(error: BaseException) -> str:
    """An error as one line: its type and what it says first."""
    name, text = type(error).__name__, first_line(error)
    return name if text == name else f"{name}: {text}"


def _plain(error: BuildError) -> tuple[Any, ...]:
    """A made-up class does not travel between processes; the sentence does."""
    return (BuildError, (str(error),))


def _rebuild(kind: type[KexpError], message: str, state: dict[str, Any]) -> KexpError:
    error = kind.__new__(kind, message)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error

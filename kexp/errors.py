"""kexp's exceptions, as one tree.

    KexpError
    ├── ConfigError              the request is invalid; nothing was computed (exit code 2)
    │   ├── UnknownNameError     a name does not exist; the message has the nearest valid one
    │   ├── ComponentError       a registered component is broken, clashes or returns the wrong type
    │   ├── BuildError           a component refused its parameters; keeps the original type as well
    │   └── DataError            the data cannot be read, split or used for this task
    ├── TrainingError            training failed (NaN, for example)
    ├── StoreError               the tracking store cannot be reached, read or written
    ├── SaveError                a model could not be written so that it reads back identically
    └── LoadError                a saved model is missing, damaged, or of another kind

A message is one sentence: the config key, the rule, the value, and the nearest valid name if there is one.
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
    "first_line",
    "in_a_line",
    "nearest",
    "without_passwords",
]


_WORDS = {"None": "null", "True": "true", "False": "false"}  # as in YAML and on the command line


class KexpError(Exception):
    """The base class of kexp's exceptions. `str(error)` is a sentence for the user."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """Returns the lines that IPython shows: the sentence only, or the traceback with HYDRA_FULL_ERROR=1."""
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            return "".join(traceback.format_exception(self)).splitlines()
        notes: list[str] = getattr(self, "__notes__", [])
        return [f"{type(self).__name__}: {self}", *notes]


class ConfigError(KexpError):
    """The request is invalid. Raised before any compute if possible."""

    exit_code = 2

    @classmethod
    def at(cls, key: str, rule: str, *value: Any) -> ConfigError:
        """Returns an error with the usual sentence: `key: rule, got value`.

        Args:
            key: the config key or the command's argument.
            rule: begins with a verb, "must be positive".
            value: the value, if it is to be shown.
        """
        got = f", got {_WORDS.get(repr(value[0]), repr(value[0]))}" if value else ""
        return cls(f"{key}: {rule}{got}")


class UnknownNameError(ConfigError):
    """A name that does not exist.

    Args:
        key: the config key or the command's argument with the name.
        what: the kind of object it should name, for example "optimizer".
        name: the name as given.
        known: every valid name.
        hint: the end of the sentence; suggests the nearest name unless given.
    """

    def __init__(self, key: str, what: str, name: object, known: Iterable[str], hint: str = "") -> None:
        self.key, self.name, self.known = key, name, sorted(known)
        super().__init__(f"{key}: there is no {what} {str(name)!r}{hint or suggestion(str(name), self.known)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), str(self), {**self.__dict__}))


class ComponentError(ConfigError):
    """A registered component cannot be used: its import fails, its name clashes, or it returns the wrong type."""


class BuildError(ConfigError):
    """A component refused its parameters. Created by `BuildError.wrap`, which keeps the original type too."""

    @classmethod
    def wrap(cls, error: Exception, path: str, text: str = "") -> BuildError:
        """Returns an error of both types, the original's and BuildError, whose message begins with the config path.

        Args:
            error: the component's error.
            path: the config path of the component.
            text: replaces the error's first line, if not empty.
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
    """Training failed after it began."""


class StoreError(KexpError):
    """The tracking store cannot be reached, read or written."""


class SaveError(KexpError):
    """A model could not be written so that it reads back identically."""


class LoadError(KexpError):
    """A saved model is missing, damaged, or of another kind than expected."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Finds the valid name that is most similar to a wrong one.

    Args:
        name: the wrong name; initials (`mse`) and beginnings of a name count as similar.
        known: the valid names.

    Returns:
        The nearest name; None if none is similar.
    """
    names = list(known)
    by_lower_case = {candidate.lower(): candidate for candidate in names}
    if len(name) > 1:
        by_initials = {"".join(word[0] for word in each.split("_") if word): each for each in by_lower_case}
        begun = [each for each in by_lower_case if each.startswith(name.lower() + "_")]
        if exact := by_initials.get(name.lower()) or min(begun, key=len, default=None):
            return by_lower_case[exact]
    found = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.5)
    return by_lower_case[found[0]] if found else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns the end of a message about an unknown name: the nearest valid name, or the first few."""
    names = list(known)
    best = nearest(name, names)
    if best is not None:
        return f"; did you mean {best!r}?"
    if not names:
        return ""
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; there are: {listed}"


def first_line(error: BaseException) -> str:
    """Returns the first informative line of an error's message, or the type's name if the message is empty.

    Keras' line about the called layer, colours and passwords in addresses are removed.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = without_passwords(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    informative = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return next(iter(informative or lines), type(error).__name__)


def without_passwords(text: str) -> str:
    """Replaces passwords in the addresses of a text, `http://me:secret@host`, by stars."""
    text = re.sub(r"(://[^/\s:@]*):[^/\s]*@", r"\1:***@", text)
    return re.sub(r"(://\S*[?&]password=)[^&\s'\"]*", r"\1***", text)


def in_a_line(error: BaseException) -> str:
    """Formats an error as one line: its type and the first line of its message."""
    name, text = type(error).__name__, first_line(error)
    return name if text == name else f"{name}: {text}"


def _plain(error: BuildError) -> tuple[Any, ...]:
    """Pickles the sentence only, because other processes do not have the combined class."""
    return (BuildError, (str(error),))


def _rebuild(kind: type[KexpError], message: str, state: dict[str, Any]) -> KexpError:
    error = kind.__new__(kind, message)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error

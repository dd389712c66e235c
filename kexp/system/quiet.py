"""Silences the log output of libraries; warnings that concern the user become notices."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

__all__ = ["hide_banners", "set_defaults", "silence_libraries", "warnings_as_notices"]

_LOUD = ("tensorflow", "jax")
# Environment variables that silence these libraries once they are loaded.
_LEVELS = {"TF_CPP_MIN_LOG_LEVEL": "3", "ABSL_MIN_LOG_LEVEL": "3", "GLOG_minloglevel": "2", "GRPC_VERBOSITY": "ERROR"}

# Lines that C++ logging writes before a program can configure it.
_BANNER = re.compile(
    rb"^(WARNING: All log messages before absl|[IWE]\d{4} |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] )"
)


@contextmanager
def hide_banners() -> Iterator[None]:
    """Drops the log lines that C++ libraries write to standard error while they are loaded; other lines still show.

    No setting hides these lines, because they are written before the library's logging is initialised.
    """
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError, ValueError):  # no standard error to guard
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _BANNER.match(line):
                    os.write(2, line)


def silence_libraries() -> None:
    """Silences the logs of TensorFlow, absl, JAX and h5py for later imports by any code. Imports nothing."""
    for name in ("tensorflow", "jax", "h5py", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    set_defaults(_LEVELS)
    # Optuna and MLflow import tqdm, which asks for widgets in a notebook; none of its bars is shown.
    warnings.filterwarnings("ignore", message="IProgress not found")
    if _QuietImports not in sys.meta_path:
        _QuietImports.levels = {name: os.environ[name] for name in _LEVELS}
        sys.meta_path.insert(0, _QuietImports)


class _QuietImports:
    """A finder that wraps other finders' results, to hide what a library writes while it is loaded.

    It loads the library with the levels of the process's beginning, whatever levels a script has set since.
    """

    levels: ClassVar[dict[str, str]] = {}

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _LOUD:
            return None
        others = (finder for finder in sys.meta_path if finder is not cls)
        spec = next((found for each in others if (found := each.find_spec(name, path, target))), None)
        load = getattr(getattr(spec, "loader", None), "exec_module", None)
        if load is not None:

            def quietly(module: Any) -> None:
                os.environ.update(cls.levels)
                with hide_banners():
                    load(module)

            spec.loader.exec_module = quietly  # type: ignore[union-attr, method-assign]
        return spec


def set_defaults(variables: Mapping[str, str]) -> None:
    """Sets environment variables that are not set. An empty value counts as not set, as in a shell's `${NAME:-...}`."""
    for name, value in variables.items():
        if not os.environ.get(name):
            os.environ[name] = value


@contextmanager
def warnings_as_notices(notice: Callable[[str], None]) -> Iterator[None]:
    """Calls `notice` with each UserWarning raised inside, as one line. Other warnings concern developers: dropped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Keras asks for int64 as it infers shapes on JAX, which warns of it since 0.11 and computes the same.
        warnings.filterwarnings("ignore", r".* requested in ShapeDtypeStruct is not available", UserWarning)
        try:
            yield
        finally:
            for each in caught:
                if issubclass(each.category, UserWarning):
                    notice(" ".join(str(each.message).split()))

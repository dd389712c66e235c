"""What libraries say to the terminal on their own account, kept from it; what concerns the user becomes a notice."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["banners_held_back", "hush", "warnings_as_notices"]

_LOUD = ("tensorflow", "jax")
# What keeps these libraries quiet once they are loaded.
_LEVELS = {"TF_CPP_MIN_LOG_LEVEL": "3", "ABSL_MIN_LOG_LEVEL": "3", "GLOG_minloglevel": "2", "GRPC_VERBOSITY": "ERROR"}

# What C++ logging writes before a program can configure it, and what is no more than a banner.
_BANNER = re.compile(
    rb"^(WARNING: All log messages before absl|[IWE]\d{4} |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] )"
)


@contextmanager
def banners_held_back() -> Iterator[None]:
    """Drops the log lines that C++ libraries write to standard error while they are loaded; other lines come through.

    No setting reaches them: they are written before the library's logging is initialised.
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


def hush() -> None:
    """Keeps what TensorFlow, absl and JAX say for their developers from the terminal, whoever imports them from here
    on. Imports nothing."""
    for name in ("tensorflow", "jax", "h5py", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name, level in _LEVELS.items():
        os.environ.setdefault(name, level)
    if _Listening not in sys.meta_path:
        sys.meta_path.insert(0, _Listening)


class _Listening:
    """A finder that holds back what a library writes while it is loaded, and leaves the finding to the others."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _LOUD:
            return None
        others = (finder for finder in sys.meta_path if finder is not cls)
        spec = next((found for each in others if (found := each.find_spec(name, path, target))), None)
        load = getattr(getattr(spec, "loader", None), "exec_module", None)
        if load is not None:

            def quietly(module: Any) -> None:
                with banners_held_back():
                    load(module)

            spec.loader.exec_module = quietly  # type: ignore[union-attr, method-assign]
        return spec


@contextmanager
def warnings_as_notices(tell: Callable[[str], None]) -> Iterator[None]:
    """Hands the UserWarnings raised inside to `tell`, as single lines; the rest concerns developers and is dropped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for each in caught:
                if issubclass(each.category, UserWarning):
                    tell(" ".join(str(each.message).split()))

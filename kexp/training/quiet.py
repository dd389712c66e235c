"""What libraries say to the terminal on their own account, kept from it; what concerns the user becomes a notice."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["banners_held_back", "quiet_loggers", "warnings_as_notices"]

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


def quiet_loggers() -> None:
    """Raises the level of the loggers through which the libraries write warnings meant for their developers."""
    import logging

    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.ERROR)
    for name in ("tensorflow", "jax", "h5py"):
        logging.getLogger(name).setLevel(logging.ERROR)


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

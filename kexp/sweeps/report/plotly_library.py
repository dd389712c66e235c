"""Plotly's JavaScript library as text for the page, compressed from 4.8 MB to 2 MB."""

from __future__ import annotations

import base64
import functools
import gzip
from importlib.util import find_spec
from pathlib import Path

from kexp.errors import ConfigError

__all__ = ["packed_library"]


@functools.cache
def packed_library() -> str:
    """Returns `plotly.min.js` of the installed package, gzipped, in base64.

    The package is not imported, because that takes longer than writing the page.

    Raises:
        ConfigError: plotly is not installed, or not completely.
    """
    found = find_spec("plotly")
    file = Path(found.origin or "").with_name("package_data") / "plotly.min.js" if found is not None else None
    if file is None or not file.is_file():
        raise ConfigError("the report's figures need plotly: pip install plotly")
    return base64.b64encode(gzip.compress(file.read_bytes(), 6, mtime=0)).decode()

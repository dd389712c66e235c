"""Plotly's library as text inside the page: packed, because it is five megabytes of the page's six otherwise."""

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
    """`plotly.min.js` of the installed package, gzipped, in base64: 2 MB of 4.8.

    The package is found and not imported: its Python part takes longer to import than the page to write.

    Raises:
        ConfigError: plotly is not installed whole.
    """
    found = find_spec("plotly")
    file = Path(found.origin or "").with_name("package_data") / "plotly.min.js" if found is not None else None
    if file is None or not file.is_file():
        raise ConfigError("the report's figures need plotly: pip install plotly")
    return base64.b64encode(gzip.compress(file.read_bytes(), 6, mtime=0)).decode()

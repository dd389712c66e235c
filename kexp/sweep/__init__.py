"""Sweeps: many configs, planned, launched, survived, resumed and compared. `kexp.sweep({...})` runs one.

The package is that function too: Python binds a subpackage's name in its parent, where users look for the function.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__: list[str] = []


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """See `kexp.sweep.api.sweep`."""
        from kexp.sweep.api import sweep

        return sweep(*arguments, **settings)


sys.modules[__name__].__class__ = _Callable

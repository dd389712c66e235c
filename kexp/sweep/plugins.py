"""kexp's sweepers and launchers, made known to Hydra.

Hydra 1.3 takes plugins from the namespace `hydra_plugins` alone. The classes are given that module's name here, instead
of shipping a package in a namespace that is not ours.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

__all__ = ["register"]

_MODULE = "hydra_plugins.kexp"


def register() -> None:
    """Makes kexp's options of `hydra/launcher` and `hydra/sweeper` instantiable. Safe to call again."""
    from hydra.core.plugins import Plugins
    from hydra.plugins.launcher import Launcher
    from hydra.plugins.sweeper import Sweeper

    from kexp.sweep.fusing import FusedLauncher
    from kexp.sweep.launchers import ProcessesLauncher, SerialLauncher
    from kexp.sweep.search import OptunaSweeper
    from kexp.sweep.sweeper import GridSweeper

    if _MODULE in sys.modules:
        return
    module: Any = types.ModuleType(_MODULE)
    bases = {
        SerialLauncher: Launcher,
        ProcessesLauncher: Launcher,
        FusedLauncher: Launcher,
        GridSweeper: Sweeper,
        OptunaSweeper: Sweeper,
    }
    for ours, base in bases.items():
        plugin = type(ours.__name__, (ours, base), {"__module__": _MODULE, "__doc__": ours.__doc__})
        setattr(module, ours.__name__, plugin)
        Plugins.instance().register(plugin)
    sys.modules[_MODULE] = module
    setattr(_namespace(), "kexp", module)  # noqa: B010 - the namespace is nobody's to declare


def _namespace() -> types.ModuleType:
    """The module `hydra_plugins`, which exists where any other package of plugins is installed."""
    name = _MODULE.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return sys.modules.setdefault(name, types.ModuleType(name))

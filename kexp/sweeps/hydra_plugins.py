"""Registers launchers and sweepers, of kexp and of other packages, with Hydra.

A package adds a launcher as an entry point, such as `ray = "kexp_ray.launcher:RayLauncher"` in the group
`kexp.launcher`; it is then available as `hydra/launcher=ray`, and its parameters are its config. Hydra 1.3 loads
plugins only from the namespace `hydra_plugins`. Each class is therefore aliased there at run time, so that no package
needs to ship modules in that namespace.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

from kexp import registry
from kexp.config.source import HYDRA_PARTS, target

__all__ = ["register"]


def register() -> None:
    """Registers every option of `hydra/launcher` and `hydra/sweeper` that a package provides.

    May be called repeatedly. A class is imported only when it is chosen.
    """
    from hydra.core.plugins import Plugins
    from hydra.plugins.launcher import Launcher
    from hydra.plugins.sweeper import Sweeper

    bases: dict[str, Any] = {"launcher": Launcher, "sweeper": Sweeper}
    for kind in HYDRA_PARTS.values():
        for name in registry.part_names(kind):
            module, _, label = target(kind, name).rpartition(".")
            home = _module(module)
            if not hasattr(home, label):
                setattr(home, label, _deferred(kind, name, bases[kind], module))
                Plugins.instance().register(getattr(home, label))


def _deferred(kind: str, name: str, base: Any, module: str) -> Any:
    """Returns a placeholder class for Hydra, which imports the real class when it is instantiated."""

    def make(_: type, **parameters: Any) -> Any:
        real: Any = registry.find_part(kind, name).load()
        plugin = type(base)(real.__name__, (real, base), {"__module__": module, "__doc__": real.__doc__})
        return plugin(**parameters)

    unused = dict.fromkeys(base.__abstractmethods__)
    return type(base)(name, (base,), {**unused, "__module__": module, "__new__": make})


def _module(name: str) -> types.ModuleType:
    """Returns the module of that name, or creates it; `hydra_plugins` exists only if other plugins are installed."""
    if name in sys.modules:
        return sys.modules[name]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        made = sys.modules[name] = types.ModuleType(name)
        parent, _, label = name.rpartition(".")
        if parent:
            setattr(_module(parent), label, made)
        return made

"""Launchers and sweepers, kexp's own and other packages', made known to Hydra.

A package adds one as an entry point, `ray = "kexp_ray.launcher:RayLauncher"` in the group `kexp.launcher`, and
has it as `hydra/launcher=ray`; its parameters are the config. Hydra 1.3 takes plugins from the namespace
`hydra_plugins` alone, so each is given a name there, instead of shipping a package in a namespace that is not ours.
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
    """Makes every option of `hydra/launcher` and `hydra/sweeper` that a package offers instantiable.

    Safe to call again. A class is imported when it is chosen.
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
    """A class for Hydra, which stands for the real one until it is called for."""

    def make(_: type, **parameters: Any) -> Any:
        ours: Any = registry.find_part(kind, name).load()
        plugin = type(base)(ours.__name__, (ours, base), {"__module__": module, "__doc__": ours.__doc__})
        return plugin(**parameters)

    unused = dict.fromkeys(base.__abstractmethods__)
    return type(base)(name, (base,), {**unused, "__module__": module, "__new__": make})


def _module(name: str) -> types.ModuleType:
    """The module of that name, made where there is none: `hydra_plugins` is there if other plugins are installed."""
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

"""Opens Hydra for kexp and restores its global state: another program may use Hydra in the same process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kexp.config.source import KEEP, register, user_folder
from kexp.system.folders import conf_folder

__all__ = ["open_hydra"]

# Hydra's default choices. Hydra takes the first override that it meets, so in the primary config they would take
# precedence over a preset's `override /hydra/launcher: ...`.
_DEFAULTS = {"launcher": "auto", "sweeper": "grid", "hydra_logging": "none", "job_logging": "none"}


@contextmanager
def open_hydra(config_dir: str | Path | None = KEEP) -> Iterator[Any]:
    """Opens Hydra with kexp's search path and defaults for the block.

    Args:
        config_dir: a folder of YAML that takes precedence over kexp's own, as `--config-dir`; None for none; the
            previous one by default.

    Yields:
        Hydra's own object, `hydra._internal.hydra.Hydra`.

    Raises:
        ConfigError: the folder does not exist.
    """
    from hydra import version
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra

    folder, running = user_folder(), GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    register(config_dir)
    version.setbase("1.3")
    try:
        with _defaults():
            yield Hydra.create_main_hydra2("kexp", create_config_search_path(str(conf_folder())))
    finally:
        register(folder)
        GlobalHydra.instance().hydra = running


@contextmanager
def _defaults() -> Iterator[None]:
    from hydra.conf import HydraConf
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    before = store.repo["hydra"]["config.yaml"]
    chosen = [
        {name: _DEFAULTS.get(name, option)} for each in HydraConf().defaults for name, option in dict(each).items()
    ]
    store.store(group="hydra", name="config", node=HydraConf(defaults=chosen), provider="hydra")
    try:
        yield
    finally:
        store.repo["hydra"]["config.yaml"] = before

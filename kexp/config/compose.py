"""From overrides to a plain config, outside Hydra's own command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kexp.config.source import KEEP, register, user_folder

__all__ = ["compose", "conf_folder", "key_of", "plain"]


def conf_folder() -> Path:
    """The folder of the primary config: inside the installed package, or beside it in a clone."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"kexp was installed without its conf folder (looked in {package})")


def compose(
    overrides: Sequence[str] = (), config_dir: str | Path | None = KEEP, *, with_hydra: bool = False
) -> DictConfig:
    """The config that `python -m kexp OVERRIDES` runs. Leaves Hydra as it is, in the middle of a sweep, say.

    Args:
        overrides: as on the command line: `["optimizer=adam", "trainer.epochs=3"]`.
        config_dir: a folder of YAML that wins over kexp's own, as `--config-dir`, for this call; None for none, and the
            command line's unless given.
        with_hydra: keep Hydra's own node, `hydra`.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    before, running = user_folder(), GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    register(config_dir)
    try:
        with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3", job_name="kexp"):
            return hydra.compose("config", list(overrides), return_hydra_config=with_hydra)
    finally:
        register(before)
        GlobalHydra.instance().hydra = running


def plain(config: DictConfig) -> dict[str, Any]:
    """The config as a nested dict, interpolations resolved, less Hydra's own node."""
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if key != "hydra"}


def key_of(override: str) -> str:
    """The key that an override is about, without Hydra's marks for adding and removing."""
    return override.partition("=")[0].lstrip("+~")

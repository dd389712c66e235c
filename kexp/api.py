"""`kexp.run`: runs one experiment from Python, as the command line does."""

from __future__ import annotations

import datetime
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kexp.experiment import Result

__all__ = ["new_folder", "run"]


def run(
    overrides: Sequence[str] = (), *, config_dir: str | Path | None = None, folder: str | Path | None = None
) -> Result:
    """Runs one experiment.

    Args:
        overrides: as on the command line: `["optimizer=adam", "trainer.epochs=3"]`.
        config_dir: your folder of YAML, as `--config-dir`.
        folder: the folder for the run's files; `outputs/DATE/TIME` by default.

    Returns:
        The finished run: `run_id`, `history` (`history.frame()` is a DataFrame), `metrics`, `model`, `folder`.

    Raises:
        ConfigError: the overrides are wrong, or a chosen component cannot be used; nothing was computed.
        TrainingError: training diverged; the run is recorded as FAILED.
        StoreError: the tracking store cannot be reached or written.
    """
    from omegaconf import OmegaConf

    from kexp.config import compose_typed, is_set, key_of, plain, prepare_overrides, refuse_sweeps_settings
    from kexp.errors import ConfigError, without_passwords
    from kexp.schema import check
    from kexp.sweeps.sweep_command import announce_backend
    from kexp.system.folders import import_from_here

    overrides = prepare_overrides(overrides)
    for each in overrides:
        key = key_of(each)
        if key.startswith(("hydra.", "hydra/")) and key != "hydra.searchpath":
            raise ConfigError(f"{key}: is a setting of the command line and of kexp.sweep; kexp.run takes folder=...")
    refuse_sweeps_settings(overrides)
    announce_backend(overrides, config_dir)
    import_from_here()
    config = compose_typed(overrides, config_dir)
    if not is_set(config, "backend") and "keras" in sys.modules:
        from kexp.training import loaded_backend

        config.backend = loaded_backend(config.backend)
    checked = check(plain(config))
    from kexp import experiment

    source = experiment.Source(
        overrides=tuple(overrides),
        yaml=OmegaConf.to_yaml(config, resolve=False),
        command=without_passwords(f"kexp.run({list(overrides)!r})"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return experiment.run(checked, Path(folder) if folder else new_folder(), source=source)


def new_folder() -> Path:
    """Creates `outputs/DATE/TIME`, as Hydra names it; a second run in the same second gets a number."""
    now = datetime.datetime.now()
    base = Path("outputs", now.strftime("%Y-%m-%d"), now.strftime("%H-%M-%S"))
    folder, number = base, 1
    while folder.exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    folder.mkdir(parents=True)
    return folder

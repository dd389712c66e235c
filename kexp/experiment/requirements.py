"""What a config needs before any compute: its store, its backend, its file formats."""

from __future__ import annotations

from typing import Any

from kexp import training
from kexp.build import build_format
from kexp.errors import ConfigError
from kexp.experiment.logging.extras import check_extras
from kexp.schema import Experiment
from kexp.tracking import StoreSettings, chosen_store

__all__ = ["check_installed", "formats_of", "store_of"]


def store_of(experiment: Experiment) -> StoreSettings | None:
    """Returns the store of the experiment; None with `tracking=none`."""
    chosen = experiment.tracking
    return chosen_store(chosen.uri, chosen.experiment) if chosen.enabled else None


def check_installed(experiment: Experiment) -> None:
    """Checks before any compute that the backend and the formats are installed and that the configured files exist.

    Raises:
        ConfigError: one is not, or a format does not support the backend.
    """
    training.check_backend_installed(experiment.backend)
    formats_of(experiment)
    check_extras(experiment.tracking)


def formats_of(experiment: Experiment) -> dict[str, Any]:
    """Returns name -> file format of the config.

    Raises:
        ConfigError: a format does not support the backend, or none can be registered with `save.register`.
    """
    from kexp.persistence import carries, check_formats

    key = "save.formats"
    formats = {name: build_format(name, key) for name in experiment.save.files}
    check_formats(formats, experiment.backend, key)
    if experiment.save.register and all(carries(each) == "architecture" for each in formats.values()):
        raise ConfigError.at(
            key, "must hold a format with a model or its weights for save.register", experiment.save.formats
        )
    return formats

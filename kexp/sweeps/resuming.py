"""The command line of a sweep that is in the store, so that it can be run again without knowing it."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kexp.config import key_of
from kexp.errors import ConfigError, StoreError, UnknownNameError
from kexp.sweeps.plan.earlier import refuse_running
from kexp.sweeps.session import ARGUMENTS
from kexp.tracking import (
    RunView,
    StoreSettings,
    chosen_store,
    command_line,
    fetch_artifact,
    find_sweep,
    resolve_uri,
)

__all__ = ["Command", "command_of"]


@dataclass(frozen=True)
class Command:
    """How a sweep was started.

    Attributes:
        arguments: overrides, those of the store it is in last.
        folder: the working directory.
        config_dir: the user's folder of YAML; None where there was none.
        config_name: the primary config's.
    """

    arguments: tuple[str, ...]
    folder: str
    config_dir: str | None = None
    config_name: str = "config"


def command_of(ref: str, *, uri: str | None = None, experiment: str | None = None) -> Command:
    """The command of a sweep.

    Args:
        ref: its name, its run's id or a unique prefix of that, or `latest`.
        uri: the tracking URI; None as everywhere.
        experiment: the MLflow experiment; None as everywhere.

    Raises:
        UnknownNameError: there is no such sweep.
        ConfigError: it is running, or what it was run with is not known.
        StoreError: the store cannot be read.
    """
    settings = chosen_store(uri, experiment)
    view = _parent(settings, ref)
    refuse_running(view)
    try:
        with tempfile.TemporaryDirectory(prefix="kexp-") as folder:
            text = fetch_artifact(settings, view.run_id, ARGUMENTS, Path(folder)).read_text(encoding="utf-8")
        known = json.loads(text)
        arguments = [str(each) for each in known["arguments"]]
    except (StoreError, UnknownNameError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"SWEEP: {ref!r} does not say what it was run with ({ARGUMENTS}); if its process was killed at its "
            f"beginning, `{command_line('sync')}` delivers what it left on disk"
        ) from error
    here = str(known.get("cwd") or os.getcwd())
    if os.path.realpath(here) != os.path.realpath(os.getcwd()) or uri is not None:
        # A relative store is of the folder that the sweep is looked for in.
        arguments = [each for each in arguments if not each.startswith("tracking.uri=")]
        arguments.append(f"tracking.uri={_quoted(resolve_uri(settings))}")
    if all(key_of(each) != "tracking.experiment" for each in arguments):  # a variable named it, which may be gone
        arguments.append(f"tracking.experiment={_quoted(settings.experiment)}")
    return Command(tuple(arguments), here, known.get("config_dir"), str(known.get("config_name", "config")))


def _quoted(text: str) -> str:
    """A text in Hydra's grammar."""
    return "'" + text.replace("'", "\\'") + "'"


def _parent(settings: StoreSettings, ref: str) -> RunView:
    view = find_sweep(settings, ref, key="SWEEP")
    if "kexp.sweep.key" not in view.tags:
        again = command_line("reproduce", view.run_id[:8], store=settings)
        raise ConfigError(f"SWEEP: {view.name} is a run and no sweep; `{again}` runs it again")
    return view

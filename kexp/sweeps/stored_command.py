"""Reads the command line of an earlier sweep from the store, so that `kexp resume` can run it again."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from kexp.config import key_of
from kexp.errors import ConfigError, StoreError, UnknownNameError
from kexp.sweeps.execution.session import ARGUMENTS
from kexp.sweeps.plan.earlier import refuse_running
from kexp.system.wording import counted
from kexp.tracking import RunView, StoreSettings, chosen_store, command_line, find_sweep, resolve_uri
from kexp.tracking.reading.runs import artifact_text

__all__ = ["Command", "command_of"]


@dataclass(frozen=True)
class Command:
    """The command that started a sweep.

    Attributes:
        arguments: overrides; those that select the store come last.
        folder: the working directory.
        config_dir: the user's folder of YAML; None if there was none.
        config_name: the name of the primary config.
        delivered: a sentence on what waited on disk and is in the store now; empty if nothing did.
    """

    arguments: tuple[str, ...]
    folder: str
    config_dir: str | None = None
    config_name: str = "config"
    delivered: str = ""


def command_of(ref: str, *, uri: str | None = None, experiment: str | None = None) -> Command:
    """Reads the command of a sweep.

    Args:
        ref: the sweep's name, its run id, a unique prefix of the id, or `latest`.
        uri: the tracking URI; None means `MLFLOW_TRACKING_URI`, or else MLflow's default.
        experiment: the MLflow experiment; None means `MLFLOW_EXPERIMENT_NAME`, or else `kexp`.

    Raises:
        UnknownNameError: no sweep matches `ref`.
        ConfigError: the sweep is running, or its command was not recorded.
        StoreError: the store cannot be read.
    """
    settings = chosen_store(uri, experiment)
    view = _sweep_run(settings, ref)
    refuse_running(view)
    delivered = _deliver_what_waits(view)
    try:
        command = json.loads(artifact_text(settings, view.run_id, ARGUMENTS))
        arguments = [str(each) for each in command["arguments"]]
    except (StoreError, UnknownNameError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"SWEEP: {ref!r} does not say what it was run with ({ARGUMENTS}); its process was killed at its beginning, "
            "or on another machine; type the command again that it was started by"
        ) from error
    folder = str(command.get("cwd") or os.getcwd())
    if os.path.realpath(folder) != os.path.realpath(os.getcwd()) or uri is not None:
        # A relative URI was resolved against this process's working directory, so the absolute one is passed on.
        arguments = [each for each in arguments if not each.startswith("tracking.uri=")]
        arguments.append(f"tracking.uri={_quoted(resolve_uri(settings))}")
    if all(key_of(each) != "tracking.experiment" for each in arguments):  # the variable that named it may be unset now
        arguments.append(f"tracking.experiment={_quoted(settings.experiment)}")
    config_name = str(command.get("config_name", "config"))
    return Command(tuple(arguments), folder, command.get("config_dir"), config_name, delivered)


def _deliver_what_waits(view: RunView) -> str:
    """Delivers what a killed sweep left on disk on this machine, its own command included; returns a sentence on it."""
    from kexp.tracking.delivery.sync import sync

    folder = Path(view.tags.get("kexp.folder", ""))
    if not (folder.is_absolute() and folder.is_dir()):
        return ""
    delivered = sync(folder)
    rows, trials = sum(each.rows for each in delivered), sum(each.trials for each in delivered)
    if not rows and not trials:
        return ""
    return f"{counted(rows, 'row')} and {counted(trials, 'trial')} had waited on disk, and are in the store now"


def _quoted(text: str) -> str:
    """Quotes a text in Hydra's grammar."""
    return "'" + text.replace("'", "\\'") + "'"


def _sweep_run(settings: StoreSettings, ref: str) -> RunView:
    view = find_sweep(settings, ref)
    if "kexp.sweep.key" not in view.tags:
        again = command_line("reproduce", view.run_id[:8], store=settings)
        raise ConfigError(f"SWEEP: {view.name} is a run and no sweep; `{again}` runs it again")
    return view

"""Saves the models of a sweep's best trials after training, and adds them to the trials' finished runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kexp import training
from kexp.experiment.compiled import build_compiled
from kexp.experiment.logging.recording import record_figures
from kexp.experiment.logging.saving import record_model, save_files
from kexp.experiment.logging.usable_formats import usable_formats
from kexp.experiment.prepared import prepare
from kexp.experiment.requirements import formats_of
from kexp.experiment.state import TrainedState
from kexp.schema import Experiment
from kexp.tracking import Header, add_to_run, null_run
from kexp.training import History

if TYPE_CHECKING:
    import keras

__all__ = ["save_kept"]


def save_kept(
    experiment: Experiment, state_file: Path, folder: Path, run: Header | None, *, best: bool
) -> tuple[tuple[str, str], ...]:
    """Saves a finished trial's model in each format and as an MLflow model; draws figures if it is the best trial.

    Args:
        experiment: the trial's checked config.
        state_file: the file of trained variables, written by `write_trained_state`.
        folder: the folder of the trial's files.
        run: the trial's finished run; additions wait in `folder` for `sync.deliver`. None if the trial has no run.
        best: whether it is the sweep's best trial, whose model is registered and whose figures are drawn.

    Returns:
        (label, text) for each format that is left out, with the reason.

    Raises:
        SaveError: a file does not load identically.
    """
    formats = formats_of(experiment)
    prepared = prepare(experiment)
    if not best:
        kept = replace(prepared.experiment, save=replace(prepared.experiment.save, register=None))
        prepared = replace(prepared, experiment=kept)
    training.prepare_backend(experiment.backend)
    state, about = TrainedState.read(state_file)
    model: keras.Model = build_compiled(prepared)
    usable = usable_formats(prepared, model, formats)
    state.assign_to(model)
    history = History([(int(epoch), dict(metrics)) for epoch, metrics in about["epochs"]])
    folder.mkdir(parents=True, exist_ok=True)
    tracker = null_run(name=folder.name, folder=folder)
    if run is not None:
        tracker = add_to_run(run, folder=folder, points=about.get("points", {}))
    try:
        if best:
            record_figures(tracker, prepared, history, model)
        save_files(tracker, prepared, model, usable)
        record_model(tracker, prepared, history, model, usable)
    finally:
        tracker.end("FINISHED")
    return usable.notices

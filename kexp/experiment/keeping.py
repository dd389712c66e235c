"""The models of a sweep's best trials: built again from what each left, and added to the runs that are over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kexp import training
from kexp.experiment.compiled import build_compiled
from kexp.experiment.holding import holding
from kexp.experiment.prepared import prepare
from kexp.experiment.recording import record_figures, record_model, save_files
from kexp.experiment.running import formats_of
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
    """Saves a finished trial's model, in each format and as an MLflow model; draws the figures of the best.

    Args:
        experiment: the trial's checked config.
        state_file: what the trial left.
        folder: where the trial's files are.
        run: the trial's, which is over and stays so; what is added to it waits in `folder` for `deliver_added`. None
            where it has none.
        best: whether it is the best of its sweep: the one that `save.register` registers and that has figures.

    Returns:
        What is left out and why: (label, text).

    Raises:
        SaveError: a file does not read back identically.
    """
    formats = formats_of(experiment)
    prepared = prepare(experiment)
    if not best:
        kept = replace(prepared.experiment, save=replace(prepared.experiment.save, register=None))
        prepared = replace(prepared, experiment=kept)
    training.prepare_backend(experiment.backend)
    state, about = TrainedState.read(state_file)
    model: keras.Model = build_compiled(prepared)
    held = holding(prepared, model, formats)
    state.put_into(model)
    history = History([(int(epoch), dict(metrics)) for epoch, metrics in about["epochs"]])
    folder.mkdir(parents=True, exist_ok=True)
    tracker = null_run(name=folder.name, folder=folder)
    if run is not None:
        tracker = add_to_run(run, folder=folder, points=about.get("points", {}))
    try:
        if best:
            record_figures(tracker, prepared, history, model)
        save_files(tracker, prepared, model, held)
        record_model(tracker, prepared, history, model, held)
    finally:
        tracker.end("FINISHED")
    return held.notices

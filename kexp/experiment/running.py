"""Runs one experiment: trains, evaluates, saves and tracks a checked config."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp import training
from kexp.errors import TrainingError
from kexp.experiment.compiled import build_compiled
from kexp.experiment.engines import Engine, Trained, engine_of
from kexp.experiment.logging.epoch_metrics import EpochLogger, model_size
from kexp.experiment.logging.extras import check_extras, log_extras
from kexp.experiment.logging.recording import (
    Source,
    model_summary,
    record_figures,
    record_outcome,
    record_setup,
    run_tags,
)
from kexp.experiment.logging.saving import record_model, save_files
from kexp.experiment.logging.usable_formats import UsableFormats, usable_formats
from kexp.experiment.own_files import own_modules
from kexp.experiment.prepared import Prepared, prepare
from kexp.experiment.requirements import formats_of, store_of
from kexp.experiment.result import Result
from kexp.experiment.state import TrainedState, write_trained_state
from kexp.experiment.tracing import check_traced
from kexp.registry.own_state import begun_anew
from kexp.schema import Experiment
from kexp.schema.run_names import run_name
from kexp.tracking import (
    StoreSettings,
    Tracker,
    null_run,
    open_run,
    run_from_environment,
    run_status,
    start_helper,
)

if TYPE_CHECKING:
    import keras

    from kexp.training import History

Notices = Sequence[tuple[str, str]]
"""(label, text) of decisions that were made for the user."""

__all__ = ["checkpointing_of", "run"]


def run(
    experiment: Experiment,
    folder: Path,
    *,
    source: Source | None = None,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    listeners: Sequence[Callable[[int, Mapping[str, float]], str | None]] = (),
    open_tracker: Callable[[Prepared, Mapping[str, Any]], Tracker] | None = None,
    checkpoint: Path | None = None,
    state_file: Path | None = None,
    report: Callable[[Notices], None] | None = None,
) -> Result:
    """Trains, evaluates, saves and tracks one experiment.

    Args:
        experiment: the checked config.
        folder: the folder for the run's files.
        source: the user's input, recorded with the run.
        parent_run_id: the run id of the sweep that this is a trial of.
        tags: further tags of the run.
        listeners: called with (epoch from 1, metrics) after each epoch; a returned string ends training and is
            recorded as the reason.
        open_tracker: creates the run's tracker from the prepared experiment and its tags, instead of the store that
            the config names.
        checkpoint: the folder of checkpoints. An interrupted training resumes from it. With `trainer.checkpoint=auto`,
            checkpoints are written only if it is given; with true, to `folder/checkpoint` unless it is given.
        state_file: write the trained variables to this file, and leave the model's files and figures to `save_kept`.
        report: called before training with notices on decisions made for the user; prints them unless given.

    Raises:
        ConfigError: the experiment is not valid; raised before any compute and before a run is created.
        TrainingError: training diverged; the run is FAILED and keeps its history.
        StoreError: the tracking store cannot be reached at the start.
        SaveError: a saved model did not load identically.
    """
    started, source = time.perf_counter(), source or Source()
    with begun_anew(own_modules(experiment)):
        engine = engine_of(experiment.trainer.engine)
        store = store_of(experiment) if open_tracker is None else None
        prepared, model, usable = _built(experiment, store)
        experiment = prepared.experiment
        if report is not None or experiment.trainer.verbose:
            (report or _print)((*prepared.notices, *usable.notices))
        folder.mkdir(parents=True, exist_ok=True)
        existing = None
        if store is not None and not parent_run_id:
            existing = run_from_environment(store, experiment.tracking.experiment)
        if existing is not None:
            source = replace(source, command="")  # the description of that run is the user's
        all_tags = run_tags(prepared, folder, tags)
        extras: AbstractContextManager[None] = nullcontext()  # a sweep logs them for all of its trials
        if open_tracker is not None:
            tracker = open_tracker(prepared, all_tags)
        else:
            tracker = _open(store, experiment, folder, all_tags, parent_run_id, existing)
            extras = log_extras(tracker, experiment.tracking)
        with run_status(tracker), extras:
            size = model_size(model)
            record_setup(tracker, prepared, source, model_summary(model), size)
            checkpointing = checkpointing_of(prepared, checkpoint, folder)
            trained = _train(engine, prepared, model, tracker, listeners, checkpointing)
            history = trained.history
            _tag(tracker, trained)
            tested = {f"test_{key}": value for key, value in trained.tested.items()}
            if tested:
                tracker.log_metrics(tested, step=len(history) + experiment.trainer.initial_epoch)
            saved: list[Path] = []
            if state_file is None:
                saved = _save(tracker, prepared, history, model, usable, tested)
            else:
                write_trained_state(state_file, prepared, TrainedState.of(model), history, tracker.last_points)
            record_outcome(tracker, prepared, source, size, history, tested, started)
        if checkpointing is not None:
            training.remove_checkpoints(checkpointing.folder)
        return Result(
            run_id=tracker.run_id,
            name=tracker.name,
            folder=folder,
            history=history,
            metrics={**history.last, **tested},
            model=model,
            experiment=experiment,
            fingerprint=prepared.fingerprint,
            notice=tracker.notice,
            duration_s=time.perf_counter() - started,
            saved=saved,
            rows_wait=tracker.undelivered,
        )


def _built(experiment: Experiment, store: StoreSettings | None) -> tuple[Prepared, keras.Model, UsableFormats]:
    """Prepares the experiment and compiles its model, so that errors are reported before a run is created."""
    formats = formats_of(experiment)
    check_extras(experiment.tracking)
    training.check_backend(experiment.backend)
    if store is not None:
        start_helper()  # imports MLflow; the store is created only once the experiment is known to be valid
    prepared = prepare(experiment)
    if store is not None:
        start_helper(store)
    training.prepare_backend(experiment.backend)
    model = build_compiled(prepared)
    check_traced(prepared, model)
    return prepared, model, usable_formats(prepared, model, formats)


def _train(
    engine: Engine,
    prepared: Prepared,
    model: keras.Model,
    tracker: Tracker,
    listeners: Sequence[Callable[[int, Mapping[str, float]], str | None]],
    checkpointing: training.Checkpointing | None,
) -> Trained:
    """Trains with the engine, and logs each epoch.

    Raises:
        TrainingError: training failed; a note says where the files of the run are.
    """
    trainer = prepared.experiment.trainer
    with training.progress(trainer.epochs, trainer.initial_epoch, trainer.verbose) as progress:
        try:
            logger = EpochLogger(tracker, model, prepared)
            return engine(prepared, model, listeners=[logger, progress, *listeners], checkpoint=checkpointing)
        except TrainingError as error:
            tracked = prepared.experiment.tracking.enabled
            recorded = f" and in run {tracker.name} ({tracker.run_id})" if tracked else ""
            error.add_note(f"Its files are in {tracker.folder}{recorded}.")
            raise


def _save(
    tracker: Tracker,
    prepared: Prepared,
    history: History,
    model: keras.Model,
    usable: UsableFormats,
    tested: Mapping[str, float],
) -> list[Path]:
    """Draws the figures, and saves the model in files and as an MLflow model. Returns the files."""
    record_figures(tracker, prepared, history, model)  # another process draws them while the model is saved
    saved = save_files(tracker, prepared, model, usable)
    record_model(tracker, prepared, history, model, usable, tested)
    return saved


def _tag(tracker: Tracker, trained: Trained) -> None:
    """Records as tags how the model was trained, and the notices of the training."""
    notices = trained.history.notices
    tags = {**trained.tags, **({"kexp.notices": "; ".join(notices)} if notices else {})}
    if tags:
        tracker.set_tags(tags)


def _print(notices: Notices) -> None:
    for label, text in notices:
        print(f"{label:<8} {text}")


def checkpointing_of(prepared: Prepared, given: Path | None, folder: Path) -> training.Checkpointing | None:
    """Returns when and where checkpoints are written, or None for never.

    Args:
        prepared: the experiment.
        given: the folder of checkpoints, as `checkpoint` of `run`.
        folder: the folder of the run's files.
    """
    trainer = prepared.experiment.trainer
    if trainer.checkpoint is False or (trainer.checkpoint == "auto" and given is None):
        return None
    return training.Checkpointing(
        given or folder / "checkpoint",
        prepared.fingerprint,
        every_epochs=trainer.checkpoint_epochs,
        every_seconds=trainer.checkpoint_seconds,
    )


def _open(
    store: StoreSettings | None,
    experiment: Experiment,
    folder: Path,
    tags: Mapping[str, Any],
    parent_run_id: str | None,
    run_id: str | None,
) -> Tracker:
    """Opens the run in the store: a new one, or the existing one with this id."""
    if store is None:
        return null_run(name=experiment.name, folder=folder)
    expected = {"model": experiment.save.model, "figure": experiment.tracking.figures}
    seeded = random.getstate()
    random.seed()  # MLflow draws run names from this generator, which the experiment's seed has set
    try:
        return open_run(
            store,
            name=run_name(experiment.as_dict()) or experiment.name,
            folder=folder,
            tags=tags,
            parent_run_id=parent_run_id,
            run_id=run_id,
            preload=[kind for kind, comes in expected.items() if comes],
            print_line=_print_line if experiment.trainer.verbose else None,
        )
    finally:
        random.setstate(seeded)


def _print_line(line: str) -> None:
    print(line, file=sys.stderr)

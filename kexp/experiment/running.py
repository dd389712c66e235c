"""One experiment: a checked config in, a finished and recorded run out. This is where the parts meet."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from kexp import training
from kexp.build import build_format
from kexp.errors import ConfigError, TrainingError
from kexp.experiment.asked import as_asked, check_asked
from kexp.experiment.compiled import build_compiled
from kexp.experiment.engines import Trained, engine_of
from kexp.experiment.holding import holding
from kexp.experiment.prepared import Prepared, prepare
from kexp.experiment.recording import (
    Source,
    own_modules,
    record_figures,
    record_model,
    record_outcome,
    record_setup,
    run_tags,
    save_files,
    summary_of,
)
from kexp.experiment.result import Result
from kexp.experiment.state import TrainedState, leave_state
from kexp.experiment.telling import EpochTeller, size_of
from kexp.experiment.tracing import check_traced
from kexp.own_state import begun_anew
from kexp.run_names import run_name
from kexp.schema import Experiment
from kexp.tracking import (
    StoreSettings,
    Tracker,
    chosen_store,
    left_alone,
    null_run,
    open_run,
    run_status,
    run_to_take_up,
    warm_up,
)

Notices = Sequence[tuple[str, str]]
"""(label, text) of what was decided for the user."""

__all__ = ["check_installed", "checkpointing_of", "formats_of", "run", "store_of"]


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
    """Trains, evaluates, saves and records one experiment.

    Args:
        experiment: the checked config.
        folder: where the run's files go.
        source: what the user wrote.
        parent_run_id: the sweep that this is a trial of.
        tags: more tags for the run.
        listeners: told (epoch from 1, metrics) after each epoch; what one answers, where not None, ends the training
            there and is the reason.
        open_tracker: makes the run's tracker from the prepared experiment and its tags, in place of the store that the
            config names.
        checkpoint: the folder of what an interrupted training of this same experiment left, to go on from, and of what
            this one leaves if it is interrupted; `trainer.checkpoint=auto` means that there are checkpoints where it
            is given, and true that they are in `folder/checkpoint` where it is not.
        state_file: leave the trained variables there, and the model's files and figures to `save_kept`.
        report: told before training what was decided for the user; prints it unless given.

    Raises:
        ConfigError: the experiment cannot be; raised before any compute and before a run is opened.
        TrainingError: training diverged; the run is FAILED, its history kept.
        StoreError: the tracking store is away at the start.
        SaveError: a model did not read back identically.
    """
    with begun_anew(own_modules(experiment)):
        return _run(
            experiment,
            folder,
            source or Source(),
            parent_run_id,
            tags,
            listeners,
            open_tracker,
            checkpoint,
            state_file,
            report,
        )


def _run(
    experiment: Experiment,
    folder: Path,
    source: Source,
    parent_run_id: str | None,
    tags: Mapping[str, Any] | None,
    listeners: Sequence[Callable[[int, Mapping[str, float]], str | None]],
    open_tracker: Callable[[Prepared, Mapping[str, Any]], Tracker] | None,
    checkpoint: Path | None,
    state_file: Path | None,
    report: Callable[[Notices], None] | None,
) -> Result:
    started = time.perf_counter()
    formats = formats_of(experiment)
    check_asked(experiment.tracking)
    engine = engine_of(experiment.trainer.engine)
    training.check_backend(experiment.backend)
    store = store_of(experiment) if open_tracker is None else None
    if store is not None:
        warm_up()  # MLflow's import; a store is not made before the experiment is known to be one
    prepared = prepare(experiment)
    experiment = prepared.experiment
    if store is not None:
        warm_up(store)
    training.prepare_backend(experiment.backend)
    model = build_compiled(prepared)
    check_traced(prepared, model)
    held = holding(prepared, model, formats)
    if report is not None or experiment.trainer.verbose:
        (report or _print)((*prepared.notices, *held.notices))
    folder.mkdir(parents=True, exist_ok=True)
    own = open_tracker is None  # a run of its own, and no trial of a sweep
    tracker = (
        _open(store, experiment, folder, prepared, parent_run_id, tags)
        if open_tracker is None
        else open_tracker(prepared, run_tags(prepared, folder, tags))
    )
    with run_status(tracker), as_asked(tracker, experiment.tracking) if own else nullcontext():
        record_setup(tracker, prepared, source, summary_of(model), size_of(model))
        teller = EpochTeller(tracker, model, prepared)
        trainer = experiment.trainer
        checkpointing = checkpointing_of(prepared, checkpoint, folder)
        with training.progress(trainer.epochs, trainer.initial_epoch, trainer.verbose) as progress:
            try:
                trained = engine(prepared, model, listeners=[teller, progress, *listeners], checkpoint=checkpointing)
            except TrainingError as error:
                recorded = f" and in run {tracker.name} ({tracker.run_id})" if experiment.tracking.enabled else ""
                error.add_note(f"What it left is in {folder}{recorded}.")
                raise
        history = trained.history
        _tag(tracker, trained)
        tested = {f"test_{key}": value for key, value in trained.tested.items()}
        if tested:
            tracker.log_metrics(tested, step=len(history) + trainer.initial_epoch)
        if state_file is None:
            record_figures(tracker, prepared, history, model)  # drawn by another process while models are saved
            saved = save_files(tracker, prepared, model, held)
            record_model(tracker, prepared, history, model, held, tested)
        else:
            saved = []
            leave_state(state_file, prepared, TrainedState.of(model), history, tracker.last_points)
        record_outcome(tracker, history, started)
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
        notice=" ".join([tracker.notice, *(left_alone() if store is not None and not parent_run_id else ())]).strip(),
        duration_s=time.perf_counter() - started,
        saved=saved,
        model_waits=bool(tracker.undelivered and (experiment.save.model or saved)),
    )


def _tag(tracker: Tracker, trained: Trained) -> None:
    """Says in tags how the model was trained, and what there was to notice."""
    notices = trained.history.notices
    tags = {**trained.tags, **({"kexp.notices": "; ".join(notices)} if notices else {})}
    if tags:
        tracker.set_tags(tags)


def _print(notices: Notices) -> None:
    for label, text in notices:
        print(f"{label:<8} {text}")


def checkpointing_of(prepared: Prepared, given: Path | None, folder: Path) -> training.Checkpointing | None:
    """When and where an experiment's checkpoints are written; None for never. Arguments as of `run`."""
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
    prepared: Prepared,
    parent_run_id: str | None,
    tags: Mapping[str, Any] | None,
) -> Tracker:
    if store is None:
        return null_run(name=experiment.name, folder=folder)
    given = None if parent_run_id else run_to_take_up(store, experiment.tracking.experiment)
    expected = {"model": experiment.save.model, "figure": experiment.tracking.figures}
    seeded = random.getstate()
    random.seed()  # MLflow draws the run's name from here: the seed must neither choose it nor be moved by it
    try:
        return open_run(
            store,
            name=run_name(experiment.as_dict()) or experiment.name,
            folder=folder,
            tags=run_tags(prepared, folder, tags),
            parent_run_id=parent_run_id,
            run_id=given,
            coming=[kind for kind, comes in expected.items() if comes],
        )
    finally:
        random.setstate(seeded)


def store_of(experiment: Experiment) -> StoreSettings | None:
    """Where the experiment is recorded; None with `tracking=none`."""
    chosen = experiment.tracking
    return chosen_store(chosen.uri, chosen.experiment) if chosen.enabled else None


def check_installed(experiment: Experiment) -> None:
    """Refuses, before any compute, a backend or formats that this machine does not have.

    Raises:
        ConfigError: one is not installed, or a format does not go with the backend.
    """
    training.check_backend_installed(experiment.backend)
    formats_of(experiment)
    check_asked(experiment.tracking)


def formats_of(experiment: Experiment) -> dict[str, Any]:
    """The file formats that the config names, each able to save on its backend.

    Raises:
        ConfigError: one is not.
    """
    from kexp.persistence import check_formats

    key = "save.formats"
    formats = {name: build_format(name, key) for name in experiment.save.files}
    check_formats(formats, experiment.backend, key)
    if experiment.save.register and all(
        getattr(each, "carries", "model") == "architecture" for each in formats.values()
    ):
        raise ConfigError.at(
            key, "must hold a format with a model or its weights for save.register", experiment.save.formats
        )
    return formats

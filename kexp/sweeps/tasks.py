"""A trial as a task: plain data for whoever runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kexp.sweeps.trials import Task, Trial

__all__ = ["make_task"]


def make_task(
    trial: Trial, *, ask: bool, sweep: Path, name: str, parent_run_id: str | None, state: Path | None
) -> Task:
    """The task of a trial.

    Args:
        trial: with its folder.
        ask: whether each epoch waits for an answer.
        sweep: the sweep's folder.
        name: of its run, unless the config gives one.
        parent_run_id: the sweep's run.
        state: the file for its trained variables, where they are to be left.
    """
    # A checkpoint is the experiment's, whatever number the trial has in another attempt.
    checkpoint = str((sweep / "checkpoints" / trial.fingerprint[:32]).resolve()) if trial.fingerprint else ""
    return Task(
        number=trial.number,
        config=_quiet(trial.config) or {},
        overrides=trial.overrides,
        folder=str(trial.folder.resolve()),
        sweep=str(sweep.resolve()),
        name=name,
        parent_run_id=parent_run_id,
        tags={"kexp.trial": str(trial.number), **trial.tags},
        ask=ask,
        checkpoint=checkpoint,
        yaml=trial.yaml,
        ordinary=_quiet(trial.ordinary),
        state=str(state or ""),
        until=trial.until,
        goes_on=trial.goes_on,
        varies=trial.varies,
    )


def _quiet(config: dict[str, Any] | None) -> dict[str, Any] | None:
    """A trial's config for where it runs: the sweep alone shows progress."""
    return None if config is None else {**config, "trainer": {**config["trainer"], "verbose": 0}}

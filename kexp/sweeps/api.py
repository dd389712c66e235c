"""A sweep from Python."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError

if TYPE_CHECKING:
    from kexp.sweeps.comparison import Comparison
    from kexp.sweeps.trials import Trial

__all__ = ["SweepResult", "sweep"]


@dataclass(frozen=True)
class SweepResult:
    """A sweep that is over.

    Attributes:
        trials: what became of each: `state`, `reason`, `metrics`, `overrides`, `run_id`, `folder`.
        comparison: the ranked rows, `comparison.frame()` as a DataFrame; None where nothing is recorded.
        run_id: the sweep's run in MLflow.
        name: the sweep's name.
        folder: where its files are, `report.html` among them.
    """

    trials: list[Trial] = field(repr=False)
    comparison: Comparison | None = field(repr=False)
    run_id: str
    name: str
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether every trial finished."""
        return all(trial.good for trial in self.trials)


def sweep(
    axes: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    launcher: str | None = None,
    sweeper: str | None = None,
    config_dir: str | Path | None = None,
) -> SweepResult:
    """Runs every combination of the axes' values, less those that the store has finished.

    Args:
        axes: config key -> its values, `{"optimizer": ["sgd", "adam"], "seed": range(5)}`. A text is taken as on the
            command line, `{"optimizer.learning_rate": "interval(1e-4,1e-1)"}`; any other single value is set for all
            trials.
        overrides: further ones, as on the command line.
        launcher: `serial`, `processes` or any other of `hydra/launcher`.
        sweeper: any of `hydra/sweeper`.
        config_dir: a folder of YAML of your own, as `--config-dir`.

    Returns:
        Its trials and their comparison, whether all finished or not.

    Raises:
        ConfigError: an axis without values, or no trial is valid; nothing was computed.
        StoreError: the store cannot be reached or written.
    """
    from kexp.sweeps.opening import run_sweep
    from kexp.sweeps.sweeper import SweepFailedError

    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # references to the user's own modules
    arguments = [_argument(key, values) for key, values in axes.items()] + list(overrides)
    arguments += [f"hydra/launcher={launcher}"] if launcher else []
    arguments += [f"hydra/sweeper={sweeper}"] if sweeper else []
    try:
        session = run_sweep(arguments, config_dir)
    except SweepFailedError as error:
        if error.session is None:
            raise
        session = error.session
    if session is None:
        raise ConfigError(f"sweeper: {sweeper} with launcher {launcher} does not say which trials it ran")
    return SweepResult(session.trials, _compared(session), session.run_id, session.name, session.folder)


def _compared(session: Any) -> Comparison | None:
    from kexp.sweeps.compare import compare

    if session.store is None or not any(trial.run_id for trial in session.trials):
        return None
    return compare(session.run_id, uri=session.store.uri, experiment=session.store.experiment)


def _argument(key: str, values: Any) -> str:
    if isinstance(values, str) or not isinstance(values, Iterable) or isinstance(values, Mapping):
        return f"{key}={values if isinstance(values, str) else _text(values)}"
    listed = [_text(value) for value in values]
    if not listed:
        raise ConfigError(f"{key}: the sweep over it has no values")
    return f"{key}={','.join(listed)}"


def _text(value: Any) -> str:
    """A value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_text(each) for each in value)}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, str):
        return value if value.replace("_", "").isalnum() else json.dumps(value, ensure_ascii=False)
    return repr(value.item() if hasattr(value, "item") else value)

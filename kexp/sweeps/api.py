"""Runs a sweep from Python."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.config import prepare_overrides
from kexp.errors import ConfigError
from kexp.sweeps.execution.closing import run_id_of
from kexp.system.folders import import_from_here
from kexp.system.wording import plural

if TYPE_CHECKING:
    import pandas

    from kexp.sweeps.compare.comparison import Comparison
    from kexp.sweeps.trials import Trial

__all__ = ["SweepResult", "sweep"]


@dataclass(frozen=True)
class SweepResult:
    """The result of a sweep.

    Attributes:
        trials: the trials; each has `state`, `reason`, `metrics`, `overrides`, `run_id` and `folder`.
        comparison: the choices ranked over their seeds, as by `kexp compare`; `comparison.frame()` is a DataFrame with
            one row for each choice. None if nothing was measured.
        run_id: the MLflow run id of the sweep.
        name: the sweep's name.
        folder: the folder of its files, such as `report.html`.
    """

    trials: list[Trial] = field(repr=False)
    comparison: Comparison | None = field(repr=False)
    run_id: str
    name: str
    folder: Path

    def _repr_html_(self) -> str:
        from kexp.sweeps.report import table_html

        counts = Counter(trial.state.lower() for trial in self.trials)
        states = ", ".join(f"{count:,} {state}" for state, count in counts.most_common())
        count = f"{len(self.trials):,} {plural('trial', len(self.trials))}"
        summary = f"sweep {self.name}: {count} ({states}); files in {self.folder}"
        return f"<p>{escape(summary)}</p>" + (table_html(self.comparison) if self.comparison is not None else "")

    @property
    def finished(self) -> bool:
        """Whether every trial finished, was pruned or had finished before."""
        return all(trial.good for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The best trial of the choice that is best over its seeds; None if no trial has a result."""
        if self.comparison is None or (row := self.comparison.reference) is None:
            return None
        rank_key = self.comparison.objective.rank_key
        seed = min(row.values, key=lambda seed: rank_key(row.values[seed]))
        return next((trial for trial in self.trials if run_id_of(trial) == row.trials[seed].run_id), None)

    def frame(self) -> pandas.DataFrame:
        """Returns a DataFrame with one row for each trial, in the order of the sweep.

        Returns:
            Columns: `trial` (the number), `state`, the parameters in which trials differ, the last value of each
            metric, `duration_s`, `reason` and `run_id`.
        """
        import pandas

        from kexp.experiment import run_parameters

        params = [run_parameters(trial.config, trial.overrides) if trial.config else {} for trial in self.trials]
        columns = [*(self.comparison.columns if self.comparison is not None else ()), "seed"]
        varied = [key for key in columns if len({str(each.get(key)) for each in params}) > 1]
        rows = [
            {"trial": trial.number, "state": trial.state}
            | {key: each.get(key) for key in varied}
            | trial.metrics
            | {"duration_s": trial.duration_s, "reason": trial.reason, "run_id": trial.run_id}
            for trial, each in zip(self.trials, params, strict=True)
        ]
        frame = pandas.DataFrame(rows)
        last = ["duration_s", "reason", "run_id"]  # after the metrics of all trials
        return frame[[name for name in frame if name not in last] + last]


def sweep(
    axes: Sequence[str] | Mapping[str, Any] = (),
    overrides: Sequence[str] = (),
    *,
    launcher: str | None = None,
    sweeper: str | None = None,
    config_dir: str | Path | None = None,
) -> SweepResult:
    """Runs every combination of the axes' values, except those whose result is already in the store.

    Args:
        axes: overrides, as for `kexp.run` or on the command line after `kexp -m`:
            `["data=iris", "optimizer=sgd,adam", "seed=range(5)"]`. Or a mapping from config key to values:
            `{"optimizer": ["sgd", "adam"], "seed": range(5)}`. A string is parsed as on the command line:
            `{"optimizer.learning_rate": "interval(1e-4,1e-1)"}`. Any other single value is set for all trials.
        overrides: further overrides, as on the command line.
        launcher: an option of `hydra/launcher`, such as `serial` or `processes`; the config's unless given.
        sweeper: an option of `hydra/sweeper`; the config's unless given.
        config_dir: a folder of the user's YAML, as `--config-dir`.

    Returns:
        The trials and their comparison, whether or not all trials finished.

    Raises:
        ConfigError: an axis has no values, or no trial is valid; nothing was computed.
        StoreError: the store cannot be reached or written.
    """
    from kexp.sweeps.sweep_command import run_sweep
    from kexp.sweeps.sweeper_steps import SweepFailedError

    import_from_here()
    given = [_argument(key, values) for key, values in axes.items()] if isinstance(axes, Mapping) else axes
    given = prepare_overrides(given)
    overrides = prepare_overrides(overrides)
    arguments = [*given, *overrides]
    arguments += [f"hydra/launcher={launcher}"] if launcher else []
    arguments += [f"hydra/sweeper={sweeper}"] if sweeper else []
    try:
        session = run_sweep(arguments, config_dir)
    except SweepFailedError as error:
        if error.session is None:
            raise
        session = error.session
    if session is None:
        raise ConfigError(f"sweeper: {sweeper} with launcher {launcher} does not return its trials")
    return SweepResult(session.trials, session.comparison, session.run_id, session.name, session.folder)


def _argument(key: str, values: Any) -> str:
    if isinstance(values, str) or not isinstance(values, Iterable) or isinstance(values, Mapping):
        return f"{key}={values if isinstance(values, str) else _text(values)}"
    listed = [_text(value) for value in values]
    if not listed:
        raise ConfigError(f"{key}: the sweep over it has no values")
    return f"{key}={','.join(listed)}"


def _text(value: Any) -> str:
    """Writes a value in Hydra's grammar."""
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

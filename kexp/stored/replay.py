"""Repeats a run from its config, and compares the repetition with the stored metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.errors import TrainingError
from kexp.schema import Experiment
from kexp.stored.config import load_experiment
from kexp.stored.runs import StoredRun
from kexp.tracking import command_line, environment, metric_history, resolve_uri

if TYPE_CHECKING:
    from kexp.experiment import Result
    from kexp.training import History

__all__ = ["Comparison", "Difference", "changed_packages", "compare", "repeat"]


@dataclass(frozen=True)
class Difference:
    """A difference between two runs.

    Attributes:
        metric: the metric.
        epoch: counted from 1; None for a test metric.
        then: the value in the store; None if it has none.
        now: the value of the repetition; None if it has none.
    """

    metric: str
    epoch: int | None
    then: float | None
    now: float | None


@dataclass(frozen=True)
class Comparison:
    """The comparison of a run and its repetition.

    Attributes:
        metrics: the compared metrics, in the order of the history, test metrics last.
        epochs: how many epochs the repetition has.
        differences: all differences, earliest epoch first, test metrics last.
    """

    metrics: tuple[str, ...]
    epochs: int
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether all values are equal."""
        return not self.differences


def repeat(run: StoredRun, folder: Path, *, save: bool = False) -> tuple[History, dict[str, float], Result | None]:
    """Runs a run's config again.

    Args:
        run: the run.
        folder: the folder for the files of the repetition.
        save: whether to track the repetition as a new run in the same store, with its models, which are not registered.

    Returns:
        The history, the test metrics, and the finished run, which is None if training diverged.

    Raises:
        ConfigError: the config is no longer valid.
    """
    from kexp import experiment as experiments

    chosen = load_experiment(run, settle=False)
    save_settings = (
        replace(chosen.save, register=None) if save else replace(chosen.save, formats=[], model=False, register=None)
    )
    tracking = replace(chosen.tracking, enabled=save, uri=resolve_uri(run.settings), experiment=run.view.experiment)
    repeated: Experiment = replace(chosen, tracking=tracking, save=save_settings)
    if fewer := run.view.tags.get("kexp.fewer_lanes"):  # the number of lanes that fit into memory affects the bits
        repeated = replace(repeated, fused=replace(chosen.fused, max_lanes=int(fewer)))
    overrides = tuple((run.text("overrides.txt") or "").split("\n")[:-1])
    again = command_line("reproduce", run.view.run_id[:8], "--save", store=run.settings)
    source = experiments.Source(overrides=overrides, yaml=run.text("config.yaml") or "", command=again)
    try:
        result = experiments.run(repeated, folder, source=source, tags={"kexp.reproduces": run.view.run_id})
    except TrainingError as error:
        history: History | None = getattr(error, "history", None)
        if history is None:
            raise
        return history, {}, None
    tested = {key: value for key, value in result.metrics.items() if key.startswith("test_")}
    return result.history, tested, result


def compare(run: StoredRun, history: History, tested: Mapping[str, float]) -> Comparison:
    """Compares a repetition with the run's metrics in the store."""
    from kexp.experiment.logging.epoch_metrics import RATE

    now = {(key, epoch): value for epoch, metrics in history.epochs for key, value in metrics.items()}
    fitted = list(dict.fromkeys(key for key, _ in now))
    # Without a callback that measures it, the learning rate comes from the config, so it is not compared.
    stored_keys = [key for key in run.view.metrics if not key.startswith("test_") and "/" not in key and key != RATE]
    keys = [*fitted, *(key for key in stored_keys if key not in fitted)]
    then: dict[tuple[str, int], float] = {}
    for key in keys:
        then.update(((key, point.step), point.value) for point in metric_history(run.settings, run.view.run_id, key))
    places = sorted({*now, *then}, key=lambda place: (place[1], keys.index(place[0])))
    found = [Difference(key, epoch, then.get((key, epoch)), now.get((key, epoch))) for key, epoch in places]
    stored = {key: value for key, value in run.view.metrics.items() if key.startswith("test_")}
    tests = list(dict.fromkeys([*tested, *stored]))
    found += [Difference(key, None, stored.get(key), tested.get(key)) for key in tests]
    differences = tuple(each for each in found if not _same_value(each.then, each.now))
    return Comparison((*keys, *tests), len(history), differences)


def changed_packages(run: StoredRun) -> dict[str, tuple[str, str]]:
    """Returns package -> (version then, version now) for packages whose version differs; Python is `python`."""
    record = run.json("environment.json") or {}
    current = environment()
    then = {"python": record.get("python", ""), **record.get("packages", {})}
    now = {"python": current["python"], **current["packages"]}
    names = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    return {name: (str(then.get(name, "absent")), str(now.get(name, "absent"))) for name in names} if record else {}


def _same_value(then: float | None, now: float | None) -> bool:
    if then is None or now is None:
        return False
    return then == now or (math.isnan(then) and math.isnan(now))
